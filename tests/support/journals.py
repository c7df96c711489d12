"""Scores and failures of an hour, as journals and as rows of a partition."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from tests.support.events import edit, request
from transforms.datasets.event_files import InputFile, read_file
from transforms.datasets.journal_sink import Journals
from transforms.elements import Failure, OutputEvent
from transforms.events.error_events import failed

HOUR = "datacenter=codfw/year=2024/month=2/day=5/hour=0"
STREAM = "mediawiki.revision-score-damaging"
ERRORS = "mediawiki.revision-score.error"
NOW = "2024-02-15T00:00:00.000000Z"


def scored(rev_id: int, dt: str = "2024-02-05T00:30:00Z") -> dict[str, Any]:
    one = {
        "model_name": "damaging",
        "model_version": "1",
        "prediction": ["true"],
        "probability": {"false": 0.25, "true": 0.75},
    }
    meta = {"stream": STREAM, "id": f"id of {rev_id}", "dt": NOW}
    return {
        "$schema": "/mediawiki/revision/score/3.0.0",
        "dt": dt,
        "meta": meta,
        "database": "enwiki",
        "rev_id": rev_id,
        "scores": {"damaging": one},
    }


def score(rev_id: int, partition: str | None = HOUR, dt: str = "2024-02-05T00:30:00Z") -> OutputEvent:
    return OutputEvent(
        STREAM, scored(rev_id, dt), "codfw", partition, request(raw=edit(rev_id=rev_id, dt=dt))
    )


def failure(
    rev_id: int, partition: str | None = HOUR, model: str | None = "damaging", *, retryable: bool = False
) -> OutputEvent:
    original = orjson.dumps(edit(rev_id=rev_id, dt="2024-02-05T00:30:00Z")).decode()
    return failed(
        Failure(
            "ScoreWithLiftWing", f"404: no revision {rev_id}", original, "codfw", model, partition, retryable
        ),
        ERRORS,
        NOW,
    )


def write_journals(folder: Path, *events: OutputEvent) -> None:
    with beam.Pipeline(FnApiRunner()) as p:
        _ = p | beam.Create(events, reshuffle=False) | Journals(folder)


def rows_at(partition: Path) -> list[Mapping[str, Any]]:
    return [
        orjson.loads(raw.data) if isinstance(raw.data, bytes) else raw.data
        for path in sorted(partition.glob("part-*"))
        for raw in read_file(InputFile(str(path), "", None))
    ]
