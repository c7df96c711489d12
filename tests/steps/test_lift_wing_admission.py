"""Who may ask Lift Wing now: endpoints that are broken, stopped or full."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.lift_wing import DAMAGING, PATIENCE_S, asked
from tests.support.lift_wing_client import (
    GOODFAITH,
    Open,
    Waiter,
    admit,
    answer,
    error,
    good,
    wait_for_calls,
    wait_until,
)
from transforms.delivery.waiting_counts import MOST_WAITING, waiting_deliveries
from transforms.elements import Score
from transforms.lift_wing.process_bulkheads import ModelStats
from transforms.lift_wing.responses import CallNotPermitted, Unavailable


def test_an_endpoint_that_only_fails_gets_a_probe_now_and_then(
    lift_wing: SimulatedLiftWing, opened: Open
) -> None:
    lift_wing.control(mode="status", status=503, model="damaging")
    lw, one = opened(), replace(DAMAGING, concurrency=1)
    found = [asked(lw, rev_id, one) for rev_id in range(20)]
    kinds = [error(future.result(PATIENCE_S)) for future in found]
    assert kinds[:5] == [(Unavailable, "503: no healthy upstream")] * 5
    assert (
        kinds[5:]
        == [(CallNotPermitted, "not called, because of what others got: 503: no healthy upstream")] * 15
    )
    assert lw.stats()["damaging"].broken == 1
    assert admit(lw, one) > 0.1
    assert admit(lw, GOODFAITH) == 0
    wait_until(lambda: admit(lw, one) == 0)
    lift_wing.clear()
    assert answer(lw, 21, one).result == good(21)
    assert lw.stats()["damaging"] == ModelStats(limit=1, waiting=lw.stats()["damaging"].waiting)
    assert lift_wing.stats()["calls"]["damaging"]["total"] == 6


def test_while_the_probe_is_out_nothing_else_is_called(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="status", status=503, model="damaging")
    lw = opened()
    for rev_id in range(5):
        answer(lw, rev_id)
    lift_wing.clear()
    lift_wing.control(mode="hang", model="damaging")
    wait_until(lambda: admit(lw, DAMAGING) == 0)
    probe = asked(lw, 6)
    wait_for_calls(lift_wing, 1, DAMAGING)
    assert isinstance(answer(lw, 7).result, CallNotPermitted)
    assert admit(lw, DAMAGING) > 0
    lift_wing.clear()
    assert probe.result(PATIENCE_S).result == good(6)
    assert answer(lw, 8).result == good(8)


def test_a_stopped_endpoint_is_never_called(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw, stopped = opened(), replace(DAMAGING, concurrency=0)
    assert admit(lw, stopped) > 0
    assert isinstance(answer(lw, endpoint=stopped).result, CallNotPermitted)
    assert lift_wing.calls() == {}


def test_the_more_are_parked_the_longer_each_sleeps(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    """Five hundred look in a second, at all stopped endpoints together, and nobody sleeps less than two."""
    lw, stopped, other = opened(), replace(DAMAGING, concurrency=0), replace(GOODFAITH, concurrency=0)
    assert 1.6 <= admit(lw, other) <= 2.4
    for _ in range(1999):
        admit(lw, stopped)
    assert all(3.2 <= admit(lw, stopped, counted=1) <= 4.8 for _ in range(100))
    assert lw.stats()["damaging"].waiting == 1999
    assert 3.2 <= admit(lw, other, counted=1) <= 4.8


def test_nobody_is_asked_for_what_no_stream_takes(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw, deliveries = opened(), waiting_deliveries()
    deliveries.note_model("damaging", "codfw", "codfw.scores")
    deliveries.note("key", {"codfw.scores": MOST_WAITING})
    try:
        assert 1.6 <= admit(lw, DAMAGING) <= 2.4
        assert lw.admission.patience_s(DAMAGING) == inf
        assert admit(lw, GOODFAITH) == 0
        deliveries.note("key", {"codfw.scores": MOST_WAITING - 1})
        assert admit(lw, DAMAGING, counted=1) == 0
        assert lw.admission.patience_s(DAMAGING) is None
    finally:
        deliveries.note("key", {})


def test_who_ends_without_a_call_waits_no_more(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw, stopped = opened(), replace(DAMAGING, concurrency=0)
    for _ in range(3):
        admit(lw, stopped)
    lw.admission.forget(stopped, Waiter(counted=1))
    assert lw.stats()["damaging"].waiting == 2


@pytest.mark.parametrize("late", [False, True])
def test_a_full_endpoint_sends_away_what_is_too_much(
    lift_wing: SimulatedLiftWing, opened: Open, late: bool
) -> None:
    lift_wing.control(mode="hang")
    lw, two = opened(), replace(DAMAGING, concurrency=2)
    taken = []
    while lw.admission.admit(two, Waiter(late)) == 0:
        taken.append(asked(lw, len(taken), two, late))
        wait_until(lambda: (counts := lw.stats()["damaging"]).in_flight + counts.queued == len(taken))
    assert len(taken) == 2 + 64
    assert lw.admission.admit(two, Waiter(not late)) == 0, "those that have waited have a queue of their own"
    lift_wing.clear()
    assert all(isinstance(future.result(PATIENCE_S).result, Score) for future in taken)
