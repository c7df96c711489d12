"""Waiting in state, method by method: what an instance emits, and what it leaves in state. Flink's part is
played by lists; tests/system/test_stream.py has the real one, tests/simulator what it may do."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from apache_beam.pvalue import TaggedOutput

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.events import at, edit
from tests.support.state import Bag, Timer, metrics_of_a_step
from transforms.async_io.pending_request import PendingRequest
from transforms.async_io.state_codec import decode_pending, encode_pending
from transforms.async_io.stateful_async import StatefulAsyncFn, next_look
from transforms.elements import ScoreRequest
from transforms.events.source_events import event_of
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.client import ClientError
from transforms.models.model import Configuration

PATIENCE_S = 20


class Key:
    """One key of a stage: its state and timers, and the instance that serves it."""

    def __init__(self, fn: StatefulAsyncFn, name: str) -> None:
        self.fn, self.name = fn, name
        self.pending, self.seen, self.timer, self.forget = Bag(), Bag(), Timer(), Timer()

    def process(self, *requests: ScoreRequest) -> list[Any]:
        now = time.time()
        encoded = encode_pending([PendingRequest(request, now, now) for request in requests])
        return [*self.fn.process((self.name, encoded), self.pending, self.timer, self.seen, self.forget)]

    def look(self) -> list[Any]:
        return [*self.fn.look(self.name, self.timer.tag, self.pending, self.timer)]

    def look_until(self, outputs: int) -> list[Any]:
        found: list[Any] = []
        until = time.monotonic() + PATIENCE_S
        while len(found) < outputs:
            assert time.monotonic() < until, found
            found += self.look()
        return found

    @property
    def waiting(self) -> list[str]:
        return [
            pending.request.model for encoded in self.pending.items for pending in decode_pending(encoded)
        ]


@pytest.fixture
def instances(configuration: Configuration) -> Iterator[list[StatefulAsyncFn]]:
    """Two instances of one process, as two subtasks of one TaskManager have them."""
    fns = [
        StatefulAsyncFn(at(configuration, configuration.lift_wing.url, max_age_s=60), each_event_once=False)
        for _ in range(2)
    ]
    for fn in fns:
        fn.setup()
    yield fns
    for fn in fns:
        fn.teardown()


def asked(rev_id: int, *models: str) -> list[ScoreRequest]:
    event = event_of(edit(rev_id=rev_id), "eqiad")
    return [ScoreRequest(event, model) for model in models]


def reasons(outputs: list[Any]) -> list[str]:
    return [output.value.reason for output in outputs if isinstance(output, TaggedOutput)]


def test_an_instance_emits_its_own_answers_and_no_other_instances(
    instances: list[StatefulAsyncFn], lift_wing: SimulatedLiftWing
) -> None:
    """What one subtask took of another's answers would be in neither snapshot."""
    first, second = Key(instances[0], "a"), Key(instances[1], "b")
    assert first.process(*asked(1, "damaging")) == []
    until = time.monotonic() + PATIENCE_S
    while not lift_wing.calls() or instances[0].lift_wing.stats()["damaging"].in_flight:
        assert time.monotonic() < until
    assert second.process(*asked(2, "goodfaith")) == []
    assert [output.request.rev_id for output in second.look_until(1)] == [2]
    assert first.waiting == ["damaging"]
    assert [output.request.rev_id for output in first.look_until(1)] == [1]
    assert (first.waiting, second.waiting) == ([], [])


def test_what_an_instance_had_that_is_gone_is_asked_again(
    instances: list[StatefulAsyncFn], lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="hang", times=1)
    key = Key(instances[0], "a")
    key.process(*asked(1, "damaging"))
    until = time.monotonic() + PATIENCE_S
    while not lift_wing.stats()["calls"].get("damaging", {}).get("in_flight"):
        assert time.monotonic() < until
    key.fn = instances[1]
    assert [output.request.rev_id for output in key.look_until(1)] == [1]
    assert lift_wing.calls() == {("damaging", "enwiki", 1): 2}


def told(fn: StatefulAsyncFn) -> dict[str, int]:
    """The gauges that an instance sets as its bundle ends."""
    with metrics_of_a_step() as container:
        fn.finish_bundle()
    return {key.metric.name: gauge.value for key, gauge in container.get_cumulative().gauges.items()}


def test_an_instance_that_has_nothing_open_tells_of_no_other_instances_calls(
    instances: list[StatefulAsyncFn], lift_wing: SimulatedLiftWing
) -> None:
    """It would tell of them for ever: its next bundle may be an hour away, and theirs tell of their own
    gauges alone."""
    lift_wing.control(mode="hang", model="damaging")
    first, second = Key(instances[0], "a"), Key(instances[1], "b")
    first.process(*asked(1, "damaging"))
    second.process(*asked(2, "goodfaith"))
    second.look_until(1)
    busy, idle = map(told, instances)
    assert (busy["in_flight_damaging"], idle["in_flight_damaging"]) == (1, 0)
    assert busy["limit_damaging"] == idle["limit_damaging"] > 0
    lift_wing.clear()


def meet(key: Key, fault: Exception) -> None:
    """Every request of the key that is with Lift Wing ends with an exception."""
    for pending in key.fn._in_flight.keys[key.name].open.values():
        key.fn._in_flight.put(key.name, pending, CallResult(fault, 0.1))


def test_an_exception_that_nobody_foresaw_is_the_failure_of_its_request_alone(
    instances: list[StatefulAsyncFn], lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="hang")
    key = Key(instances[0], "a")
    key.process(*asked(1, "damaging"))
    meet(key, KeyError("scores\x1b[31m"))
    assert reasons(key.look()) == ["unforeseen KeyError: 'scores\\x1b[31m'"]
    assert key.waiting == []


def test_too_many_of_them_are_kept_and_none_becomes_a_failure(
    instances: list[StatefulAsyncFn], lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="hang")
    failures = []
    for rev_id in range(30):
        key = Key(instances[0], str(rev_id))
        key.process(*asked(rev_id, "damaging"))
        meet(key, KeyError("scores"))
        failures += reasons(key.look())
        if rev_id >= 20:
            assert key.waiting == ["damaging"]
            assert 25 < key.timer.at - time.time() < 31
    assert failures == ["unforeseen KeyError: 'scores'"] * 20


def test_a_fault_of_the_client_ends_the_bundle(
    instances: list[StatefulAsyncFn], lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="hang")
    key = Key(instances[0], "a")
    key.process(*asked(1, "damaging"))
    meet(key, ClientError("gone"))
    with pytest.raises(ClientError, match="gone"):
        key.look()


def test_a_repeated_event_that_still_waits_is_dropped(
    configuration: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="hang")
    fn = StatefulAsyncFn(configuration, each_event_once=True)
    fn.setup()
    key = Key(fn, "a")
    key.process(*asked(1, "damaging"))
    key.seen.clear()  # an hour later
    key.process(*asked(1, "damaging"))
    assert key.waiting == ["damaging"]
    fn.teardown()


def test_keys_that_can_wait_are_looked_at_together() -> None:
    draws = random.Random(1)

    times = {next_look(1000.0 + index / 10_000, waiting=400, uniform=draws.uniform) for index in range(400)}

    assert len(times) <= 8 * 2 + 1  # 8 a second, from 1 to 3 s on
    assert 1001 <= min(times) <= max(times) <= 1003.1


def test_the_only_key_is_looked_at_soon() -> None:
    assert next_look(1000.0, waiting=1, uniform=lambda low, high: low) == pytest.approx(1000.0625)
