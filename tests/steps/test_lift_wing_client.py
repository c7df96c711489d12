"""Many calls to Lift Wing at once, and faults of the client itself. No Beam."""

from __future__ import annotations

import queue
from concurrent.futures import Future
from dataclasses import replace
from time import monotonic

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.lift_wing import DAMAGING, MODELS, PATIENCE_S, asked, request_of
from tests.support.lift_wing_client import GOODFAITH, Open, answer, calls, good, wait_for_calls, wait_until
from transforms.elements import Score
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.client import ClientError, LiftWingClient
from transforms.models.model import LiftWingSettings
from transforms.worker.shared import SHARED

# Turns


def test_every_second_place_goes_to_those_that_have_waited(
    lift_wing: SimulatedLiftWing, opened: Open
) -> None:
    lift_wing.control(mode="hang")
    lw, one = opened(), replace(DAMAGING, concurrency=1)
    first = asked(lw, 0, one)
    wait_for_calls(lift_wing, 1, DAMAGING)
    order: list[int] = []
    for rev_id in (1, 2, 3, 4, 101, 102):
        lw.submit(
            one,
            request_of(one, rev_id),
            lambda _answer, rev_id=rev_id: order.append(rev_id),
            late=rev_id > 100,
        )
    lift_wing.clear()
    assert isinstance(first.result(PATIENCE_S).result, Score)
    wait_until(lambda: len(order) == 6)
    assert order == [101, 1, 102, 2, 3, 4]


# Many calls


def test_an_endpoint_is_never_asked_more_at_once_than_it_allows(
    lift_wing: SimulatedLiftWing, opened: Open
) -> None:
    lift_wing.control(mode="slow", seconds=0.02)
    two, five = replace(DAMAGING, concurrency=2), replace(GOODFAITH, concurrency=5)
    lw = opened()
    futures = [asked(lw, rev_id, endpoint) for rev_id in range(40) for endpoint in (two, five)]
    assert [future.result(PATIENCE_S).result for future in futures] == [
        good(rev_id, endpoint) for rev_id in range(40) for endpoint in (two, five)
    ]
    assert lift_wing.stats()["most_in_flight"] == {"enwiki-damaging": 2, "enwiki-goodfaith": 5}
    assert set(lift_wing.calls().values()) == {1}


def test_all_endpoints_together_are_never_asked_more_at_once_than_the_process_allows(
    lift_wing: SimulatedLiftWing, opened: Open
) -> None:
    lift_wing.control(mode="slow", seconds=0.02)
    lw = opened(in_flight=3)
    for future in [asked(lw, rev_id, endpoint) for rev_id in range(20) for endpoint in (DAMAGING, GOODFAITH)]:
        assert isinstance(future.result(PATIENCE_S).result, Score)
    most = lift_wing.stats()["most_in_flight"]
    assert max(most.values()) <= 3
    assert len(lift_wing.calls()) == 40


def test_a_rate_is_for_all_endpoints_together(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw = opened(calls_per_s=100)
    began = monotonic()
    for future in [asked(lw, rev_id, endpoint) for rev_id in range(50) for endpoint in (DAMAGING, GOODFAITH)]:
        assert isinstance(future.result(PATIENCE_S).result, Score)
    assert 0.85 < monotonic() - began < 5, "a hundred calls, of which ten may come at once"


def test_a_model_that_hangs_leaves_the_others_alone(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="hang", model="damaging")
    lw = opened()
    hung = [asked(lw, rev_id) for rev_id in range(200)]
    wait_for_calls(lift_wing, DAMAGING.concurrency, DAMAGING)
    well = [asked(lw, rev_id, GOODFAITH) for rev_id in range(200)]
    assert all(isinstance(future.result(PATIENCE_S).result, Score) for future in well)
    assert not any(future.done() for future in hung)
    lift_wing.clear()
    assert all(isinstance(future.result(PATIENCE_S).result, Score) for future in hung)
    assert lift_wing.stats()["most_in_flight"]["enwiki-damaging"] == DAMAGING.concurrency


def test_every_call_ends_once(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="status", status=404, model="damaging")
    lift_wing.control(mode="garbage", rev_id=3)
    lift_wing.control(mode="status", status=503, rev_id=5, times=1)
    lw = opened()
    ended: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
    everything = [(endpoint, rev_id) for rev_id in range(100) for endpoint in (DAMAGING, GOODFAITH)]
    for endpoint, rev_id in everything:
        lw.submit(
            endpoint,
            request_of(endpoint, rev_id),
            lambda answer, asked=(endpoint.model, rev_id): ended.put(asked),
        )
    found = [ended.get(timeout=PATIENCE_S) for _ in everything]
    assert sorted(found) == sorted((endpoint.model, rev_id) for endpoint, rev_id in everything)
    assert ended.empty()


def test_wikis_models_and_revisions_are_asked_apart(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw = opened()
    of_frwiki = MODELS["damaging"].endpoints["frwiki"]
    for rev_id, endpoint in [(7, DAMAGING), (8, DAMAGING), (7, GOODFAITH), (7, of_frwiki)]:
        assert answer(lw, rev_id, endpoint).result == good(rev_id, endpoint)
    assert len(lift_wing.calls()) == 4


# Faults of this code


def test_a_fault_in_one_call_is_of_that_call_alone(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="hang")
    lw = opened()
    waiting = asked(lw)
    wait_for_calls(lift_wing, 1, DAMAGING)
    at_fault: Future[CallResult] = Future()
    lw.submit(DAMAGING, None, at_fault.set_result)  # type: ignore[arg-type]
    assert isinstance(at_fault.result(PATIENCE_S).result, AttributeError)
    assert not waiting.done()
    lift_wing.clear()
    assert waiting.result(PATIENCE_S).result == good()


def test_a_fault_of_the_client_reaches_every_caller(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="hang")
    lw = opened()
    waiting = asked(lw)
    wait_for_calls(lift_wing, 1, DAMAGING)
    lw._connection.run_soon(lambda: None / 1)  # type: ignore[operator, arg-type, return-value]
    fault = waiting.result(PATIENCE_S).result
    assert isinstance(fault, ClientError)
    assert "TypeError" in str(fault)


# One for the whole process


def test_the_users_of_a_process_share_one_until_the_last_lets_it_go(lift_wing: SimulatedLiftWing) -> None:
    settings = LiftWingSettings(lift_wing.url)
    first, second = SHARED.acquire(LiftWingClient, settings), SHARED.acquire(LiftWingClient, settings)
    assert first is second
    SHARED.release(LiftWingClient, settings)
    assert answer(first).result == good()
    SHARED.release(LiftWingClient, settings)
    third = SHARED.acquire(LiftWingClient, settings)
    assert third is not first
    assert answer(third).result == good()
    SHARED.release(LiftWingClient, settings)
    assert calls(lift_wing) == 2
