"""Page change events, and the models that score them."""

from __future__ import annotations

from typing import Any

import orjson

from tests.support.events import ROOT

CHANGE: dict[str, Any] = orjson.loads((ROOT / "tests" / "data" / "page_change_1.3.0.json").read_bytes())


def change(rev_id: int, wiki: str = "enwiki", **more: Any) -> dict[str, Any]:
    """The real event of another wiki and revision."""
    return {**CHANGE, "wiki_id": wiki, "revision": {**CHANGE["revision"], "rev_id": rev_id}, **more}


MODELS = ROOT / "pipeline" / "page_change_models.yaml"
