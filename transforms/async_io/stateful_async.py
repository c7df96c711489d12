"""How a stream waits for Lift Wing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from transforms.async_io.in_flight import InFlight, KeyState, name_of
from transforms.async_io.keying import KeyByBundle, KeyByEvent
from transforms.async_io.model_gauges import ModelGauges
from transforms.async_io.score_fn import AsyncScoreFn, Output
from transforms.async_io.state_codec import decode_pending
from transforms.async_io.timer_tag import Tag, rests_of, wake
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.responses import CallNotPermitted
from transforms.models.model import Configuration
from transforms.worker.environment import REAL, Environment

_SHORTEST_LOOK_S, _LONGEST_LOOK_S = 0.1, 2.0
_LOOKS_PER_S = 8  # each emits all answers that are there, whatever their keys
REMEMBERED_S = 3600  # what ChangeProp remembers of an event
_HELD_S = 30.0  # how long a request waits while too many meet exceptions that nobody foresaw
# Beam's threads wait for Flink, and for each other, many times in a bundle, and the client's runs meanwhile:
# at Python's default of 5 ms most of a bundle's time was waiting for the interpreter
_SWITCH_INTERVAL_S = 0.0005


def next_look(now: float, waiting: int, uniform: Callable[[float, float], float]) -> float:
    """Returns when to look at a key again, in seconds since the epoch as `now` is, while an instance has so
    many `waiting`. `uniform` gives the jitter. Keys that can wait share the times, so one bundle has many."""
    sleep_s = min(_LONGEST_LOOK_S, max(_SHORTEST_LOOK_S, waiting / _LOOKS_PER_S)) * uniform(0.5, 1.5)
    then = now + sleep_s
    return round(then * _LOOKS_PER_S) / _LOOKS_PER_S if sleep_s > 1 / _LOOKS_PER_S else then


@dataclass(frozen=True)
class StatefulAsync:
    """Holds requests in Flink's state. Every call into an instance, new requests or the timer of a key, emits
    all answers that have come, so that no request blocks another. For streams.

    Requests that come together share a key, as each read or write of state is of one key, and a round trip to
    Flink. Those that cannot be called now are in state alone: an instance remembers only the keys that have a
    request with Lift Wing. A process that dies is replaced by one that asks again for what the last
    checkpoint held. That needs a new process for each attempt of a job, as Flink's workers are; not LOOPBACK,
    whose one process would take what a failed attempt emitted for done.
    """

    each_event_once: bool = False  # drop an event whose `meta.id` came within `REMEMBERED_S`
    environment: Environment = REAL

    def asking(self, configuration: Configuration) -> beam.PTransform:
        """Returns the transform of ScoreRequests to `responses` and `failures`."""
        asking = beam.ParDo(StatefulAsyncFn(configuration, self.each_event_once, self.environment))
        # a snapshot has it in the ids of timers, where the default would be the name of the class
        asking.label = "AskInState"
        keyed = (
            "Key" >> KeyByEvent(self.environment)
            if self.each_event_once
            else "Key" >> KeyByBundle(self.environment)
        )
        return keyed | asking.with_outputs("failures", main="responses")


class StatefulAsyncFn(AsyncScoreFn):
    """Writes state with each batch, and reads it only when this instance does not know the key: to read it is
    a round trip to Flink."""

    PENDING = BagStateSpec("pending", coders.BytesCoder())
    LOOK = TimerSpec("look", TimeDomain.REAL_TIME)
    SEEN = BagStateSpec("seen", coders.BytesCoder())
    FORGET = TimerSpec("forget", TimeDomain.REAL_TIME)

    def __init__(
        self, configuration: Configuration, each_event_once: bool, environment: Environment = REAL
    ) -> None:
        super().__init__(configuration, environment)
        self._each_event_once = each_event_once
        self._repeated = Metrics.counter("ScoreWithLiftWing", "dropped_repeated")

    def setup(self) -> None:
        super().setup()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._in_flight = InFlight()
        self._gauges = ModelGauges(self.configuration.models, self.environment.monotonic)

    def teardown(self) -> None:
        # another instance finds them in state, and counts them again
        for state in self._in_flight.keys.values():
            for pending in state.open.values():
                if pending.counted and (
                    endpoint := self.endpoint(pending.request.model, pending.request.wiki)
                ):
                    self.admission.forget(endpoint, pending)
        super().teardown()

    def process(
        self,
        element: tuple[str, bytes],
        pending: Any = beam.DoFn.StateParam(PENDING),
        look: Any = beam.DoFn.TimerParam(LOOK),
        seen: Any = beam.DoFn.StateParam(SEEN),
        forget: Any = beam.DoFn.TimerParam(FORGET),
    ) -> Iterator[Output]:
        key, encoded = element
        new = decode_pending(encoded)
        # it may wait for longer than it is remembered
        if self._each_event_once and (_is_known(seen) or _is_known(pending)):
            self._repeated.inc(len(new))
            new = []
        elif self._each_event_once:
            seen.add(b"")
            forget.set(Timestamp.of(self.environment.time() + REMEMBERED_S))
        if new:
            state = self._in_flight.keys[key] = KeyState()
            pending.add(encoded)
            self._repeated.inc(state.add(new))
            yield from self._advance(key, state, pending, look)

    @on_timer(LOOK)
    def look(
        self,
        key: str = beam.DoFn.KeyParam,
        tag: str = beam.DoFn.DynamicTimerTagParam,
        pending: Any = beam.DoFn.StateParam(PENDING),
        look: Any = beam.DoFn.TimerParam(LOOK),
    ) -> Iterator[Output]:
        # it waits in state alone, or was asked by an instance before this one
        if key not in self._in_flight.keys:
            now = self.environment.time()
            polled, has_to_be_read = (
                Tag.decode(tag).rebound(self.lift_wing.id).poll(now, self.endpoint, self.admission)
            )
            if not has_to_be_read:
                _wake_later(look, polled)
                yield from self._drain_completed()
                return
            state = self._in_flight.keys[key] = KeyState()
            self._repeated.inc(state.load(pending))
            wake(polled, state.open.values(), now)
        yield from self._advance(key, self._in_flight.keys[key], pending, look)

    @on_timer(FORGET)
    def forget(self, seen: Any = beam.DoFn.StateParam(SEEN)) -> None:
        seen.clear()

    def finish_bundle(self) -> None:
        self._gauges.publish(self.lift_wing, has_keys=bool(self._in_flight.keys))
        self.call_milliseconds.publish()

    def _advance(self, key: str, state: KeyState, pending: Any, look: Any) -> Iterator[Output]:
        """Emits what is answered, calls what is due, and leaves the rest of this key in state until it is
        worth another look."""
        yield from self._drain_completed()
        yield from self._submit_due(key, state)
        state.save(pending)
        if state.called:
            waiting = len(self._in_flight.keys)
            look.set(Timestamp.of(next_look(self.environment.time(), waiting, self.environment.uniform)))
            return
        del self._in_flight.keys[key]
        if state.open:
            rests = rests_of(state.open.values(), self.limits.max_age_s, self.endpoint, self.admission)
            _wake_later(look, Tag(self.lift_wing.id, rests))

    def _drain_completed(self) -> Iterator[Output]:
        """Emits every answer that has come, for this key or another. The next look of its own key takes its
        request out of state."""
        for state, pending, answer in self._in_flight.take():
            name = name_of(pending)
            state.called.remove(name)
            if not pending.record(answer, self.limits):
                self.report_retries(pending)
                state.dirty |= answer.was_called
            elif self.pass_fuse(pending, answer):
                state.end(name)
                yield self.complete(pending, answer)
            else:
                pending.due, pending.late = self.environment.time() + _HELD_S, True

    def _submit_due(self, key: str, state: KeyState) -> Iterator[Output]:
        now = self.environment.time()
        for name, pending in list(state.open.items()):
            if (
                name not in state.called
                and pending.due <= now + 0.01
                and (answer := self._submit(key, state, name, now))
            ):
                state.end(name)
                yield self.complete(pending, answer)

    def _submit(self, key: str, state: KeyState, name: str, now: float) -> CallResult | None:
        """Calls, or notes when the request is due again. Returns a result where the request ends without a
        call."""
        pending = state.open[name]
        request = pending.request
        endpoint = self.endpoint(request.model, request.wiki)
        if endpoint is None:
            pending.reason = f"the models file has no {request.model} of {request.wiki} any more"
            return CallResult(CallNotPermitted(pending.reason), 0.0)
        patience_s = self.admission.patience_s(endpoint)
        if patience_s is not None:
            state.dirty |= pending.freeze(now)
        wait = self.admission.admit(endpoint, pending)
        pending.counted = wait > 0
        if not wait:
            state.called.add(name)
            self.lift_wing.submit(endpoint, request, partial(self._in_flight.put, key, pending), pending.late)
            return None
        not_called = CallResult(self.admission.not_called(endpoint), 0.0)
        if not pending.send_away(not_called, now + wait, patience_s, self.limits):
            return None
        self.admission.forget(endpoint, pending)
        return not_called


def _is_known(bag: Any) -> bool:
    return any(True for _ in bag.read())


def _wake_later(look: Any, tag: Tag) -> None:
    look.set(Timestamp.of(tag.due), dynamic_timer_tag=tag.encode())
