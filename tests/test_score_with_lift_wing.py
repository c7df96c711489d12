"""The third step in its two ways of waiting: which calls go out, and what comes back as a response or a failure.

Timers in processing time run on Flink alone; what `InState` makes of them is in test_on_flink.py.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from conftest import at, edit, request

from runners.simulated_lift_wing import SimulatedLiftWing, score, version
from transforms import ScoreWithLiftWing
from transforms.asking import failure
from transforms.elements import Event, Failure, Score, ScoreRequest, ScoreResponse, json_text
from transforms.lift_wing import Rejected, Unavailable
from transforms.models import Configuration
from transforms.wait_in_bundle import InBundle
from transforms.wait_in_state import decode_pending, encode_pending

UNKNOWN_REVISION = (
    "400: The MW API does not have any info related to the rev-id provided as input (7), therefore it is not possible to extract features properly. "
    "One possible cause is the deletion of the page related to the revision id. Please contact the ML-Team if you need more info."
)


def response(asked: ScoreRequest) -> ScoreResponse:
    said = score(asked.wiki, asked.model, asked.rev_id)
    return ScoreResponse(asked, Score(version(asked.wiki, asked.model), said["prediction"], said["probability"]))


def failed(asked: ScoreRequest, reason: str) -> Failure:
    return Failure("ScoreWithLiftWing", reason, json_text(asked.event.raw), asked.event.datacenter, asked.model, asked.event.partition)


def requests(rev_ids: range, *models: str) -> list[ScoreRequest]:
    """As SelectModels gives them: all of one revision share its event."""
    events = [Event(edit(rev_id=rev_id), "eqiad") for rev_id in rev_ids]
    return [ScoreRequest(event, model, "enwiki", event.raw["rev_id"]) for event in events for model in models]


def run(configuration: Configuration, asked: list[ScoreRequest], responses: list[ScoreResponse], failures: list[Failure]) -> Mapping[str, int]:
    """Checks what the step gives for these requests, and gives its counters."""
    p = TestPipeline(FnApiRunner())
    scored = p | beam.Create(asked) | ScoreWithLiftWing(configuration, InBundle())
    assert_that(scored.responses, equal_to(responses), label="responses")
    assert_that(scored.failures, equal_to(failures), label="failures")
    result = p.run()
    result.wait_until_finish()
    counters = result.metrics().query()["counters"]
    return {counter.key.metric.name: counter.committed for counter in counters if counter.key.metric.namespace == "ScoreWithLiftWing"}


# Bounded input


def test_each_request_becomes_the_response_of_its_model(configuration: Configuration, lift_wing: SimulatedLiftWing) -> None:
    asked = requests(range(1, 30), "damaging", "goodfaith", "articletopic")
    counters = run(configuration, asked, [response(each) for each in asked], [])
    assert lift_wing.calls() == {(each.model, "enwiki", each.rev_id): 1 for each in asked}
    assert counters == {"calls_damaging": 29, "calls_goodfaith": 29, "calls_articletopic": 29}


def test_where_an_event_came_from_stays_with_its_answer(configuration: Configuration, lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="status", status=400, model="goodfaith")
    event = Event(edit(rev_id=7), "codfw", "datacenter=codfw/year=2021/month=8/day=27/hour=13")
    good, bad = (ScoreRequest(event, model, "enwiki", 7) for model in ("damaging", "goodfaith"))
    run(configuration, [good, bad], [response(good)], [failed(bad, UNKNOWN_REVISION)])


def test_a_model_that_fails_costs_the_others_of_the_revision_nothing(configuration: Configuration, lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="status", status=422, model="goodfaith", body={"detail": "no"})
    asked = requests(range(1, 20), "damaging", "goodfaith", "drafttopic")
    responses = [response(each) for each in asked if each.model != "goodfaith"]
    failures = [failed(each, "422: no") for each in asked if each.model == "goodfaith"]
    counters = run(configuration, asked, responses, failures)
    assert counters == {"calls_damaging": 19, "calls_goodfaith": 19, "calls_drafttopic": 19, "failures_goodfaith": 19}


def test_a_failure_says_how_often_it_was_tried(configuration: Configuration, lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="status", status=500, model="damaging", body={"error": "KeyError"})
    (asked,) = requests(range(7, 8), "damaging")
    counters = run(configuration, [asked], [], [failed(asked, "500: KeyError (3 tries)")])
    assert counters == {"calls_damaging": 3, "failures_damaging": 1}


def test_a_failure_that_was_tried_once_says_nothing_of_it() -> None:
    assert failure(request(), Rejected("404: gone"), 1).reason == "404: gone"
    assert failure(request(), Unavailable("503: down"), 2).reason == "503: down (2 tries)"


def test_the_same_request_again_has_an_answer_of_its_own(configuration: Configuration) -> None:
    asked = requests(range(7, 8), "damaging") * 3
    run(configuration, asked, [response(each) for each in asked], [])


def test_nothing_asked_nothing_answered(configuration: Configuration, lift_wing: SimulatedLiftWing) -> None:
    assert run(configuration, [], [], []) == {}
    assert lift_wing.calls() == {}


def test_requests_are_scores_and_failures(shipped: Configuration, lift_wing: SimulatedLiftWing) -> None:
    """Whatever Lift Wing does, each request ends once."""
    seeded = random.Random(5)
    faults: list[dict[str, Any]] = [{"mode": mode} for mode in ("garbage", "empty", "other_revision", "drop", "hang")]
    faults += [{"mode": "status", "status": status} for status in (400, 404, 422, 429, 500, 502, 503, 504, 301)]
    asked = requests(range(300), "damaging", "goodfaith", "articletopic", "drafttopic")
    for rev_id in range(0, 300, 3):
        lift_wing.control(**seeded.choice(faults), rev_id=rev_id, model=seeded.choice(["damaging", "goodfaith", None]), times=seeded.choice([1, None]))
    with TestPipeline(FnApiRunner()) as p:
        scored = p | beam.Create(asked) | ScoreWithLiftWing(at(shipped, lift_wing.url, timeout_s=0.3, max_age_s=1.5), InBundle())
        ends = (scored.responses | beam.Map(end_of_response), scored.failures | beam.Map(end_of_failure)) | beam.Flatten()
        assert_that(ends, equal_to([(each.model, each.rev_id) for each in asked]))
    assert set(lift_wing.calls()) == {(each.model, "enwiki", each.rev_id) for each in asked}


def end_of_response(found: ScoreResponse) -> tuple[str, int]:
    return found.request.model, found.request.rev_id


def end_of_failure(found: Failure) -> tuple[str | None, int]:
    return found.model, orjson.loads(found.original)["rev_id"]


# What rests in state


@pytest.mark.parametrize("partition", [None, "datacenter=codfw/year=2021/month=8/day=27/hour=13"])
def test_what_rests_in_state_comes_back_as_it_was(partition: str | None) -> None:
    event = Event(edit(comment="\u00e9\U0001f600"), "codfw", partition)
    batch = tuple(ScoreRequest(event, model, "enwiki", 1040920135) for model in ("damaging", "goodfaith"))
    assert decode_pending(encode_pending(batch, 1700000000.25)) == (batch, 1700000000.25)


def test_what_rests_in_state_can_be_read_by_another_version() -> None:
    assert orjson.loads(encode_pending((request("damaging"), request("goodfaith")), 1.5)) == {
        "event": edit(),
        "datacenter": "eqiad",
        "partition": None,
        "models": ["damaging", "goodfaith"],
        "asked_at": 1.5,
    }
