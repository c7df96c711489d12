"""The third step in its two ways of waiting: which calls go out, and what comes back as a response or a
failure.

Timers in processing time run on Flink alone; what `StatefulAsync` makes of them is in
tests/system/test_stream.py.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from runners.simulated_lift_wing.server import SimulatedLiftWing, score, version
from tests.support.events import at, edit, request
from transforms.async_io.bundle_async import BundleAsync, BundleAsyncFn
from transforms.async_io.pending_request import PendingRequest, failure
from transforms.elements import Failure, Score, ScoreRequest, ScoreRequests, ScoreResponse
from transforms.events.json_text import json_text
from transforms.events.source_events import event_of
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.process_bulkheads import ModelStats
from transforms.lift_wing.responses import CallNotPermitted, LiftWingError, Refused, Unavailable, Unexpected
from transforms.lift_wing.retry_policy import Limits
from transforms.models.model import Configuration
from transforms.score_with_lift_wing import ScoreWithLiftWing
from transforms.worker.environment import REAL

PATIENCE_S = 20
UNKNOWN_REVISION = (
    "400: The MW API does not have any info related to the rev-id provided as input (7), therefore it is "
    "not possible to extract features properly. "
    "One possible cause is the deletion of the page related to the revision id. Please contact the ML-Team "
    "if you need more info."
)


def response(asked: ScoreRequest) -> ScoreResponse:
    said = score(asked.wiki, asked.model, asked.rev_id)
    return ScoreResponse(
        asked, Score(version(asked.wiki, asked.model), said["prediction"], said["probability"])
    )


def failed(asked: ScoreRequest, reason: str, *, retryable: bool = False) -> Failure:
    return Failure(
        "ScoreWithLiftWing",
        reason,
        json_text(asked.event.raw),
        asked.event.datacenter,
        asked.model,
        asked.event.partition,
        retryable,
    )


def requests(rev_ids: range, *models: str) -> list[ScoreRequest]:
    """All of one revision share its event."""
    events = [event_of(edit(rev_id=rev_id), "eqiad") for rev_id in rev_ids]
    return [ScoreRequest(event, model) for event in events for model in models]


def by_event(asked: list[ScoreRequest]) -> list[ScoreRequests]:
    """As SelectModels gives them."""
    return [tuple(of_event) for _, of_event in groupby(asked, key=lambda request: id(request.event))]


def run(
    configuration: Configuration,
    asked: list[ScoreRequest],
    responses: list[ScoreResponse],
    failures: list[Failure],
) -> Mapping[str, int]:
    """Checks what the step gives for these requests, and gives those of its counters that are not 0."""
    p = TestPipeline(FnApiRunner())
    scored = p | beam.Create(by_event(asked)) | ScoreWithLiftWing(configuration, BundleAsync())
    assert_that(scored.responses, equal_to(responses), label="responses")
    assert_that(scored.failures, equal_to(failures), label="failures")
    result = p.run()
    result.wait_until_finish()
    counters = result.metrics().query()["counters"]
    return {
        counter.key.metric.name: counter.committed
        for counter in counters
        if counter.key.metric.namespace == "ScoreWithLiftWing" and counter.committed
    }


# Bounded input


def test_each_request_becomes_the_response_of_its_model(
    configuration: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    asked = requests(range(1, 30), "damaging", "goodfaith", "articletopic")
    counters = run(configuration, asked, [response(each) for each in asked], [])
    assert lift_wing.calls() == {(each.model, "enwiki", each.rev_id): 1 for each in asked}
    assert counters == {"calls_damaging": 29, "calls_goodfaith": 29, "calls_articletopic": 29}


def test_nothing_is_counted_as_waiting_after_an_outage(
    configuration: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    fn = BundleAsyncFn(configuration)
    fn.setup()
    fn.start_bundle()
    lift_wing.control(mode="status", status=503, model="damaging")
    for of_event in by_event(requests(range(1, 100), "damaging")):
        assert list(fn.process(of_event)) == []
    until = time.monotonic() + PATIENCE_S
    while not fn.lift_wing.stats().get("damaging", ModelStats()).waiting:
        assert time.monotonic() < until
        time.sleep(0.01)
    lift_wing.clear()
    assert len(list(fn.finish_bundle())) == 99
    assert fn.lift_wing.stats()["damaging"].waiting == 0
    fn.teardown()


def test_where_an_event_came_from_stays_with_its_answer(
    configuration: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="status", status=400, model="goodfaith")
    event = event_of(edit(rev_id=7), "codfw", "datacenter=codfw/year=2021/month=8/day=27/hour=13")
    good, bad = (ScoreRequest(event, model) for model in ("damaging", "goodfaith"))
    run(configuration, [good, bad], [response(good)], [failed(bad, UNKNOWN_REVISION)])


def test_a_model_that_fails_costs_the_others_of_the_revision_nothing(
    configuration: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="status", status=422, model="goodfaith", body={"detail": "no"})
    asked = requests(range(1, 20), "damaging", "goodfaith", "drafttopic")
    responses = [response(each) for each in asked if each.model != "goodfaith"]
    failures = [failed(each, "422: no") for each in asked if each.model == "goodfaith"]
    counters = run(configuration, asked, responses, failures)
    assert counters == {
        "calls_damaging": 19,
        "calls_goodfaith": 19,
        "calls_drafttopic": 19,
        "failures_goodfaith": 19,
        "failures_goodfaith_422": 19,
    }


def refused(*, of_one: bool) -> Refused:
    error = Refused("401: no", "401")
    error.of_one, error.of_all = of_one, not of_one
    return error


@pytest.mark.parametrize("strike", [Unexpected("500: KeyError", "500"), refused(of_one=True)])
@pytest.mark.parametrize(
    "outage", [Unavailable("503: down", "503"), CallNotPermitted("503: down"), refused(of_one=False)]
)
def test_an_outage_counts_nothing_against_a_request(strike: LiftWingError, outage: LiftWingError) -> None:
    now = time.time()
    pending, limits = PendingRequest(request(), now, now), Limits(600, REAL)
    ends = [
        pending.record(CallResult(error, 0.1), limits)
        for error in (outage, outage, outage, strike, outage, strike, outage, strike)
    ]
    assert ends == [False] * 7 + [True]


def test_a_failure_says_how_often_it_was_tried(
    configuration: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="status", status=500, model="damaging", body={"error": "KeyError"})
    (asked,) = requests(range(7, 8), "damaging")
    counters = run(configuration, [asked], [], [failed(asked, "500: KeyError (3 tries)")])
    assert counters == {
        "calls_damaging": 3,
        "retries_damaging_500": 2,
        "failures_damaging": 1,
        "failures_damaging_500": 1,
    }


def test_a_failure_that_was_tried_once_says_nothing_of_it() -> None:
    assert (
        failure(PendingRequest(request(), 0.0, 0.0, tries=1, reason="404: gone"), retryable=False).reason
        == "404: gone"
    )
    assert (
        failure(PendingRequest(request(), 0.0, 0.0, tries=2, reason="503: down"), retryable=True).reason
        == "503: down (2 tries)"
    )


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"mode": "status", "status": 503}, "503"),
        ({"mode": "status", "status": 429, "headers": {"Retry-After": "1"}}, "429"),
        ({"mode": "status", "status": 500}, "500"),
        ({"mode": "drop"}, "connection"),
        ({"mode": "hang"}, "timeout"),
    ],
)
def test_a_passing_fault_costs_a_try(
    shipped: Configuration, lift_wing: SimulatedLiftWing, fault: dict[str, Any], cause: str
) -> None:
    lift_wing.control(**fault, times=1)
    (asked,) = requests(range(7, 8), "damaging")
    counters = run(at(shipped, lift_wing.url, timeout_s=0.5), [asked], [response(asked)], [])
    assert counters == {"calls_damaging": 2, f"retries_damaging_{cause}": 1}


def test_a_lasting_fault_ends_with_the_age_of_the_request(
    shipped: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    """With a last try then, though the server wants to be left alone for longer."""
    lift_wing.control(mode="status", status=503, headers={"Retry-After": "3600"})
    (asked,) = requests(range(7, 8), "damaging")
    started = time.monotonic()
    counters = run(
        at(shipped, lift_wing.url, max_age_s=1),
        [asked],
        [],
        [failed(asked, "503: no healthy upstream (2 tries)", retryable=True)],
    )
    assert counters == {
        "calls_damaging": 2,
        "retries_damaging_503": 1,
        "failures_damaging": 1,
        "failures_damaging_503": 1,
    }
    assert 1 < time.monotonic() - started < 30


def test_what_was_never_called_says_why(shipped: Configuration, lift_wing: SimulatedLiftWing) -> None:
    """Enough requests that the endpoint counts as broken, and most are too old before it gets another
    call."""
    lift_wing.control(mode="status", status=503)
    asked = requests(range(400), "damaging")
    with TestPipeline(FnApiRunner()) as p:
        scored = (
            p
            | beam.Create(by_event(asked))
            | ScoreWithLiftWing(at(shipped, lift_wing.url, max_age_s=0.5), BundleAsync())
        )
        reasons = (
            scored.failures | beam.Map(lambda failure: failure.reason.partition(" (")[0]) | beam.Distinct()
        )
        assert_that(
            reasons,
            equal_to(
                [
                    "503: no healthy upstream",
                    "not called, because of what others got: 503: no healthy upstream",
                ]
            ),
        )
        assert_that(
            scored.failures | beam.Map(end_of_failure),
            equal_to([(each.model, each.rev_id) for each in asked]),
            label="each once",
        )
    assert len(lift_wing.calls()) < 100


def test_the_same_request_again_has_an_answer_of_its_own(configuration: Configuration) -> None:
    asked = requests(range(7, 8), "damaging") * 3
    run(configuration, asked, [response(each) for each in asked], [])


def test_nothing_asked_nothing_answered(configuration: Configuration, lift_wing: SimulatedLiftWing) -> None:
    assert run(configuration, [], [], []) == {}
    assert lift_wing.calls() == {}


def test_requests_are_scores_and_failures(shipped: Configuration, lift_wing: SimulatedLiftWing) -> None:
    """Whatever Lift Wing does, each request ends once."""
    seeded = random.Random(5)
    faults: list[dict[str, Any]] = [
        {"mode": mode} for mode in ("garbage", "empty", "other_revision", "drop", "hang")
    ]
    faults += [
        {"mode": "status", "status": status} for status in (400, 404, 422, 429, 500, 502, 503, 504, 301)
    ]
    asked = requests(range(300), "damaging", "goodfaith", "articletopic", "drafttopic")
    for rev_id in range(0, 300, 3):
        lift_wing.control(
            **seeded.choice(faults),
            rev_id=rev_id,
            model=seeded.choice(["damaging", "goodfaith", None]),
            times=seeded.choice([1, None]),
        )
    with TestPipeline(FnApiRunner()) as p:
        scored = (
            p
            | beam.Create(by_event(asked))
            | ScoreWithLiftWing(at(shipped, lift_wing.url, timeout_s=0.3, max_age_s=1.5), BundleAsync())
        )
        ends = (
            scored.responses | beam.Map(end_of_response),
            scored.failures | beam.Map(end_of_failure),
        ) | beam.Flatten()
        assert_that(ends, equal_to([(each.model, each.rev_id) for each in asked]))
    # some endpoints are closed meanwhile
    assert set(lift_wing.calls()) <= {(each.model, "enwiki", each.rev_id) for each in asked}


def end_of_response(found: ScoreResponse) -> tuple[str, int]:
    return found.request.model, found.request.rev_id


def end_of_failure(found: Failure) -> tuple[str | None, int]:
    return found.model, orjson.loads(found.original)["rev_id"]
