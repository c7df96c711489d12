"""What the answers of Lift Wing mean: each row, against a server that gives them. No Beam."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.process.child_process import free_port
from runners.simulated_lift_wing.faults import GARBAGE, HTML, MEDIAWIKI_FAILED, UNKNOWN_REVISION
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.lift_wing import MODELS, REVISION
from tests.support.lift_wing_client import Open, answer, calls, error, good
from transforms.lift_wing.responses import Refused, Rejected, Unavailable, Unexpected
from transforms.models.model import Endpoint

# A score


@pytest.mark.parametrize(
    "endpoint",
    [next(iter(model.endpoints.values())) for model in MODELS.values()],
    ids=lambda endpoint: endpoint.name,
)
def test_each_model_gives_its_score(lift_wing: SimulatedLiftWing, opened: Open, endpoint: Endpoint) -> None:
    assert answer(opened(), endpoint=endpoint).result == good(endpoint=endpoint)
    assert lift_wing.calls() == {(endpoint.model, endpoint.wiki, REVISION): 1}


def test_the_time_of_a_call_is_told(opened: Open, lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="slow", seconds=0.3)
    assert 0.3 <= answer(opened()).seconds < 5


# No score, and another try cannot help


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, UNKNOWN_REVISION.format(rev_id=REVISION)),
        (422, "Could not make prediction for revision(s) 7. Reason: parent_revision_missing"),
    ],
)
def test_the_revision_is_at_fault(lift_wing: SimulatedLiftWing, opened: Open, status: int, said: str) -> None:
    lift_wing.control(mode="status", status=status)
    assert error(answer(opened())) == (Rejected, f"{status}: {said}")
    assert calls(lift_wing) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "(empty body)"),
        ("\x1b[2J\x9b", "\\u001b[2J\\u009b"),
        ("  one\n two\t", "one two"),
        ({"error": "no"}, "no"),
        ({"detail": ["a"]}, '{"detail":["a"]}'),
        ({"error": None, "x": 1}, '{"error":null,"x":1}'),
        ([1], "[1]"),
        ("x" * 9000, "x" * 500),
    ],
)
def test_the_reason_is_what_the_body_says(
    lift_wing: SimulatedLiftWing, opened: Open, body: Any, said: str
) -> None:
    lift_wing.control(mode="status", status=500, body=body)
    assert error(answer(opened())) == (Unexpected, f"500: {said}")


def test_a_redirect_is_not_followed(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    with SimulatedLiftWing() as elsewhere:
        lift_wing.control(mode="redirect", location=f"{elsewhere.url}/v1/models/enwiki-damaging:predict")
        assert error(answer(opened())) == (Refused, "302: (empty body)")
        assert elsewhere.calls() == {}


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_of_a_hundred_megabytes_is_not_read(
    lift_wing: SimulatedLiftWing, opened: Open, chunked: bool
) -> None:
    lift_wing.control(mode="huge", chunked=chunked)
    found = answer(opened()).result
    assert isinstance(found, Rejected)
    assert (found.cause, calls(lift_wing)) == ("too_large", 1)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("empty", '{"enwiki":{"models":{"damaging":{"version":"0.5.1"}},"scores":{}}}'),
        (
            "other_revision",
            '{"enwiki":{"models":{"damaging":{"version":"0.5.1"}},"scores":{"8":{"damaging":{"score":',
        ),
    ],
)
def test_a_good_status_without_the_score(
    lift_wing: SimulatedLiftWing, opened: Open, mode: str, said: str
) -> None:
    lift_wing.control(mode=mode)
    kind, text = error(answer(opened()))
    assert (kind, calls(lift_wing)) == (Rejected, 1)
    assert text.startswith(f"200 without the score of revision 7: {said}")


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        '"enwiki"',
        '{"enwiki": 7}',
        '{"enwiki": {"scores": {"7": {"damaging": {"score": null}}}, "models": {}}}',
    ],
)
def test_a_good_status_with_anything_else(lift_wing: SimulatedLiftWing, opened: Open, body: str) -> None:
    lift_wing.control(mode="status", status=200, body=body)
    assert error(answer(opened()))[0] is Rejected


# No score, as nobody gets one


def test_no_such_model(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="status", status=404)
    assert error(answer(opened())) == (Refused, "404: Model with name enwiki-damaging does not exist.")


# No score, and another try may help


@pytest.mark.parametrize(("mode", "said"), [("garbage", GARBAGE), ("html", HTML)])
def test_a_page_in_place_of_an_answer(
    lift_wing: SimulatedLiftWing, opened: Open, mode: str, said: str
) -> None:
    lift_wing.control(mode=mode)
    assert error(answer(opened())) == (Unavailable, f"200 without JSON: {said}")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (429, "Too Many Requests"),
        (502, "Bad Gateway"),
        (503, "no healthy upstream"),
        (504, "upstream request timeout"),
        (500, MEDIAWIKI_FAILED),
    ],
)
def test_a_passing_fault(lift_wing: SimulatedLiftWing, opened: Open, status: int, said: str) -> None:
    lift_wing.control(mode="status", status=status, headers={"Retry-After": "7"})
    found = answer(opened()).result
    assert isinstance(found, Unavailable)
    assert (str(found), found.cause, found.retry_after_s) == (f"{status}: {said}", str(status), 7.0)
    assert calls(lift_wing) == 1


def test_an_error_of_which_nothing_is_known(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="status", status=500, body={"error": "KeyError : 'x'"})
    assert error(answer(opened())) == (Unexpected, "500: KeyError : 'x'")


@pytest.mark.parametrize("mode", ["drop", "truncated"])
def test_a_dropped_connection(lift_wing: SimulatedLiftWing, opened: Open, mode: str) -> None:
    lift_wing.control(mode=mode)
    found = answer(opened()).result
    assert isinstance(found, Unavailable)
    assert (found.cause, str(found)[:11]) == ("connection", "no answer: ")


def test_a_call_that_hangs_ends_with_its_time(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="hang")
    found = answer(opened(timeout_s=0.3)).result
    assert isinstance(found, Unavailable)
    assert found.cause == "timeout"
    assert str(found).startswith("no answer: Operation timed out after 3")
    assert calls(lift_wing) == 1


def test_a_port_where_nobody_listens(opened: Open) -> None:
    kind, said = error(answer(opened(url=f"http://127.0.0.1:{free_port()}")))
    assert kind is Unavailable
    assert said.startswith("no answer: Failed to connect to 127.0.0.1")
