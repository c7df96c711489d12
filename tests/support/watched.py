"""Messages that the live page counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from pipeline.config.models_file import load
from transforms.elements import Failure, Score
from transforms.events.error_events import error_event
from transforms.events.score_events import ScoreStream, revision_score
from transforms.models.model import Configuration

NOW = 1_700_000_004.0  # near the end of a slice of five seconds


def models(tmp_path: Path, *names: str, more: str = "") -> Configuration:
    file = tmp_path / "models.yaml"
    head = (
        'lift_wing: {url: "http://127.0.0.1:1"}\nstreams: {score: "mediawiki.revision-score-{model}", '
        "failure: mediawiki.revision-score.error}\nmodels:\n"
    )
    file.write_text(
        head + "".join(f"  {name}: {{namespace: some, wikis: [enwiki]{more}}}\n" for name in names),
        encoding="utf-8",
    )
    return load(file)


def score(raw: Mapping[str, Any], model: str = "damaging") -> bytes:
    said = Score("1.0.0", False, {"true": 0.125, "false": 0.875})
    return orjson.dumps(
        revision_score(
            raw, ScoreStream(model, f"mediawiki.revision-score-{model}"), said, "2023-11-14T22:13:22Z"
        )
    )


def failure(
    raw: Mapping[str, Any], reason: str, model: str | None = "damaging", step: str = "ScoreWithLiftWing"
) -> bytes:
    failed = Failure(step, reason, orjson.dumps(raw).decode(), "eqiad", model or "")
    return orjson.dumps(error_event(failed, "mediawiki.revision-score.error", "2023-11-14T22:13:22Z"))
