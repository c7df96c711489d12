"""What all peers share, with the standard library and orjson alone, as PyFlink and PySpark live in
environments of their own: rules and score events.

It leaves out what such a script leaves out: validation, failures, metrics.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

COPIED = [
    "database",
    "page_id",
    "page_title",
    "page_namespace",
    "page_is_redirect",
    "rev_id",
    "rev_parent_id",
    "rev_timestamp",
    "performer",
]

Call = tuple[str, str, str]  # model, host, path


class Rules:
    """Reads a file of {wiki: [[model, host, kind of event]]}."""

    def __init__(self, file: str) -> None:
        self._by_wiki: dict[str, list[list[str]]] = orjson.loads(Path(file).read_bytes())
        self.models = sorted({model for of_wiki in self._by_wiki.values() for model, _, _ in of_wiki})

    def calls(self, event: dict[str, Any]) -> list[Call]:
        wiki = event["database"]
        return [
            (model, host, f"/v1/models/{wiki}-{model}:predict")
            for model, host, kind in self._by_wiki.get(wiki, ())
            if is_wanted(event, kind)
        ]


def is_wanted(event: dict[str, Any], kind: str) -> bool:
    if kind == "edit":
        return True
    is_bot = "bot" in event.get("performer", {}).get("user_groups", ())
    return (
        ("nonbot" not in kind or not is_bot)
        and (not kind.startswith("bot") or is_bot)
        and ("creation" not in kind or not event.get("rev_parent_id"))
        and (not kind.startswith("main") or event["page_namespace"] == 0)
    )


def score_event(event: dict[str, Any], model: str, answer: bytes) -> dict[str, Any]:
    stream = f"mediawiki.revision-score-{model}"
    of_wiki = orjson.loads(answer)[event["database"]]
    score = of_wiki["scores"][str(event["rev_id"])][model]["score"]
    prediction, meta = score["prediction"], event["meta"]
    digest = hashlib.sha1(f"{stream} {event['database']} {event['rev_id']} {meta['id']}".encode()).digest()
    return {
        "$schema": "/mediawiki/revision/score/3.0.0",
        "dt": event["dt"],
        "meta": {
            "stream": stream,
            "id": str(uuid.UUID(bytes=digest[:16], version=5)),
            "dt": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
            **{name: meta[name] for name in ("request_id", "domain", "uri") if name in meta},
        },
        **{name: event[name] for name in COPIED if name in event},
        "scores": {
            model: {
                "model_name": model,
                "model_version": of_wiki["models"][model]["version"],
                "prediction": [str(prediction).lower()]
                if isinstance(prediction, bool)
                else prediction
                if isinstance(prediction, list)
                else [prediction],
                "probability": score["probability"],
            }
        },
    }
