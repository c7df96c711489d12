"""What an unforeseen exception costs: its element, and when there are too many of them nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

import schemas
from pipeline.batch import direct_runner
from tests.support.events import edit, request
from transforms.build_revision_score import BuildRevisionScore
from transforms.elements import Failure, Score, ScoreResponse, SourceRecord
from transforms.events.error_events import failed
from transforms.events.json_text import json_text
from transforms.events.source_events import event_of
from transforms.models.model import Configuration
from transforms.read_events import ReadEvents
from transforms.select_models import SelectModels
from transforms.worker.fuse import FuseBlownError, is_of_an_element
from transforms.worker.unforeseen import Fused, reason_of

FAULT = ZeroDivisionError("nobody thought of that")
REASON = "unforeseen ZeroDivisionError: nobody thought of that"
SCORE = Score("1", True, {"true": 0.9, "false": 0.1})


class Clock:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


Work = tuple[str, Callable[[], Iterator[str]]]  # an element: its name, and what comes of it


def fused(*, holds: bool = True, **of_time: Any) -> Fused[Work, str]:
    return Fused(
        "Step",
        lambda element: element[1](),
        lambda element: element[0],
        lambda element, reason: [reason],
        holds=holds,
        **of_time,
    )


@pytest.mark.parametrize(
    "error",
    [OSError("disk full"), ConnectionResetError(), FuseBlownError("x"), SystemExit(), GeneratorExit()],
)
def test_nor_is_what_the_machine_meets(error: BaseException) -> None:
    assert not is_of_an_element(error)
    with pytest.raises(type(error)):
        fused().outputs(("x", raising(error)))


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FAULT, REASON),
        (KeyError("\x1b[31m\n\u202e\ud800"), r"unforeseen KeyError: '\x1b[31m\n\u202e\ud800'"),
        (RecursionError(), "unforeseen RecursionError"),
    ]
    + [
        (MuteError(), "unforeseen MuteError"),
        (ValueError("\x1b]0;x\x07\n\ud800"), "unforeseen ValueError:  ]0;x   ".rstrip()),
        (ValueError("x" * 9_999), None),
    ],
)
def test_the_reason_is_one_short_line_without_control_characters(
    error: Exception, reason: str | None
) -> None:
    assert reason_of(error) == (reason or ("unforeseen ValueError: " + "x" * 477))


def raising(error: BaseException, times: int = 1_000_000) -> Callable[[], Iterator[str]]:
    left = [times]

    def work() -> Iterator[str]:
        yield "a part"
        left[0] -= 1
        if left[0] >= 0:
            raise error

    return work


def test_a_failure_takes_the_place_of_all_that_an_element_gave() -> None:
    assert fused().outputs(("x", raising(FAULT))) == [REASON]


def test_a_stream_holds_its_place_until_the_element_passes(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    step = fused(clock=clock, sleep=clock.sleep)
    for number in range(20):
        step.outputs((str(number), raising(FAULT)))
    caplog.clear()
    assert step.outputs(("the next", raising(FAULT, 12))) == ["a part"]
    assert clock.slept == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]
    said = [record.getMessage() for record in caplog.records]
    assert said[-1] == "Step goes on"
    assert said[:-1] == [said[0]] * 4  # at once, and then once a minute
    assert said[0].startswith("Step: unforeseen exceptions at 20 different elements in a row")
    assert said[0].endswith(REASON)
    assert step.outputs(("another", raising(FAULT))) == [REASON]


def test_a_bounded_run_ends() -> None:
    step = fused(holds=False)
    for number in range(20):
        step.outputs((str(number), raising(FAULT)))
    with pytest.raises(
        FuseBlownError,
        match=r"^Step: unforeseen exceptions at 20 different elements in a row, .*; the last one: "
        r"unforeseen ZeroDivisionError: ",
    ):
        step.outputs(("the next", raising(FAULT)))


class Broken(dict[str, Any]):
    """A row of a source whose columns cannot be told."""

    def get(self, *_: object) -> Any:
        raise FAULT


def fault(*_: object) -> Any:
    raise FAULT


def fault_of_damaging(_: object, model: str) -> bool:
    if model == "damaging":
        raise FAULT
    return False


def test_reading_goes_on() -> None:
    found = [SourceRecord(Broken(edit()), "eqiad"), SourceRecord(orjson.dumps(edit(rev_id=1)), "eqiad")]
    p = TestPipeline(FnApiRunner())
    read = p | ReadEvents(beam.Create(found))
    assert_that(read.events, equal_to([event_of(edit(rev_id=1), "eqiad")]), label="events")
    assert_that(
        read.failures, equal_to([Failure("ReadEvents", REASON, json_text(edit()), "eqiad")]), label="failures"
    )
    assert counted(p, "ReadEvents") == {"events": 1, "failures": 1, "unforeseen": 1}


def test_selecting_goes_on_and_an_event_that_fails_has_no_request(shipped: Configuration) -> None:
    events = [event_of(edit(), "eqiad"), event_of(edit(database="viwiki"), "eqiad")]
    p = TestPipeline(FnApiRunner())
    selected = p | beam.Create(events) | SelectModels(shipped.models, fault_of_damaging)
    assert_that(
        selected.requests | beam.Map(lambda asked: [(each.wiki, each.model) for each in asked]),
        equal_to([[("viwiki", "reverted"), ("viwiki", "articletopic")]]),
        label="requests",
    )
    assert_that(
        selected.failures,
        equal_to([Failure("SelectModels", REASON, json_text(edit()), "eqiad")]),
        label="failures",
    )
    assert counted(p, "SelectModels")["unforeseen"] == 1


def test_building_goes_on(shipped: Configuration) -> None:
    p = TestPipeline(FnApiRunner())
    built = p | beam.Create([ScoreResponse(request(), SCORE)]) | BuildRevisionScore(shipped.models, fault)
    assert_that(
        built.failures,
        equal_to([Failure("BuildRevisionScore", REASON, json_text(edit()), "eqiad", "damaging")]),
        label="failures",
    )
    assert counted(p, "BuildRevisionScore") == {"failures": 1, "unforeseen": 1}


def counted(p: beam.Pipeline, step: str) -> dict[str, int]:
    result = p.run()
    result.wait_until_finish()
    return {
        each.key.metric.name: each.committed
        for each in result.metrics().query()["counters"]
        if each.key.metric.namespace == step
    }


def test_a_run_whose_every_event_meets_a_fault_ends_with_a_line() -> None:
    p = direct_runner.new_pipeline([])
    read = p | ReadEvents(
        beam.Create(
            [SourceRecord(Broken(edit(rev_id=number)), "eqiad") for number in range(30)], reshuffle=False
        )
    )
    _ = read.failures | beam.Map(lambda failure: failure)
    with pytest.raises(
        SystemExit,
        match="^revision-scores: the run ends at ReadEvents: unforeseen exceptions at 20 different "
        "elements in a row, ",
    ):
        direct_runner.run(p)


@pytest.mark.parametrize(
    "failure",
    [
        Failure("ReadEvents", "why", b"bytes", "eqiad"),  # type: ignore[arg-type]
        Failure("ReadEvents", ["why"], "text", "eqiad"),  # type: ignore[arg-type]
        Failure("ReadEvents", "why \ud800", "text \udfff", "eqiad", "damaging"),
        Failure("ReadEvents", "why", '{"meta": ' + "[" * 2_000, "eqiad"),
    ],
)
def test_a_failure_that_cannot_be_told_is_still_a_failure(failure: Failure) -> None:
    event = failed(failure, "failures", "2024-02-15T00:00:00Z")
    schemas.validator(schemas.ERROR)(event.body)
    assert orjson.loads(orjson.dumps(event.body)) == event.body
    assert event.body["error_type"].startswith("ReadEvents")
    assert "why" in event.body["message"]
    assert event.body["raw_event"]
