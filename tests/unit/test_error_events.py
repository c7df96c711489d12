"""Failures as error events."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

import schemas
from tests.support.events import edit
from transforms.elements import Failure, OutputEvent
from transforms.events.error_events import error_event
from transforms.write_per_model import WriteFailures

STREAM = "mediawiki.revision-score.error"
NOW = "2024-02-15T00:00:00.000000Z"
ORIGINAL = orjson.dumps(edit()).decode()


def built(
    original: str = ORIGINAL, reason: str = "why", step: str = "ReadEvents", model: str | None = None
) -> dict[str, Any]:
    event = error_event(Failure(step, reason, original, "eqiad", model), STREAM, NOW)
    schemas.validator("/error/2.1.0")(event)
    return event


def test_the_failure_of_an_event() -> None:
    assert built(step="ScoreWithLiftWing", reason="404: gone", model="damaging") == {
        "$schema": "/error/2.1.0",
        "dt": NOW,
        "meta": {
            "stream": STREAM,
            "id": "a1d3999e-0a68-5384-b0a6-529a2ffc6cd7",
            "dt": NOW,
            "request_id": "835b4bb0-3e78-431c-89c7-e3b6a8441c86",
            "domain": "en.wikipedia.org",
        },
        "emitter_id": "revision-scores",
        "error_type": "ScoreWithLiftWing/damaging",
        "message": "404: gone",
        "raw_event": ORIGINAL,
        "errored_schema_uri": "/mediawiki/revision/create/2.0.0",
        "errored_stream_name": "mediawiki.revision-create",
    }


@pytest.mark.parametrize(
    "original",
    [
        "",
        "nonsense",
        "[]",
        "7",
        "{}",
        '{"meta": 7, "$schema": []}',
        '{"meta": {"stream": 1, "domain": "", "request_id": null}}',
        "\ufffd",
    ],
)
def test_the_failure_of_what_is_no_event(original: str) -> None:
    event = built(original)
    assert event == {
        "$schema": "/error/2.1.0",
        "dt": NOW,
        "meta": {"stream": STREAM, "id": event["meta"]["id"], "dt": NOW},
        "emitter_id": "revision-scores",
        "error_type": "ReadEvents",
        "message": "why",
        "raw_event": original,
    }


@pytest.mark.parametrize("piece", ["x", "\n", "\u00e9", "\U0001f600"])
def test_an_original_that_kafka_could_not_carry_is_cut(piece: str) -> None:
    original = piece * 2_000_000
    event = built(original)
    assert original.startswith(event["raw_event"])
    assert 250_000 <= len(orjson.dumps(event)) <= 501_000


def test_the_original_can_be_tried_again() -> None:
    assert orjson.loads(built()["raw_event"]) == edit()


def test_the_id_tells_steps_models_and_originals_apart_but_not_reasons() -> None:
    failures = [
        built(),
        built(step="SelectModels"),
        built(model="damaging"),
        built(model="goodfaith"),
        built("other"),
    ]
    assert len({event["meta"]["id"] for event in failures}) == 5
    assert built(reason="503 (1 tries)")["meta"]["id"] == built(reason="503 (2 tries)")["meta"]["id"]


def test_the_step_writes_error_events_to_the_failure_stream() -> None:
    failure = Failure("ScoreWithLiftWing", "404: gone", ORIGINAL, "codfw", "damaging", "partition")
    expected = OutputEvent(
        STREAM,
        built(step="ScoreWithLiftWing", reason="404: gone", model="damaging"),
        "codfw",
        "partition",
        failure=failure,
    )
    with TestPipeline(FnApiRunner()) as p:
        written = p | beam.Create([failure]) | WriteFailures(beam.Map(lambda event: event), STREAM, clock)
        assert_that(written, equal_to([expected]))


def clock() -> str:
    return NOW
