"""Waiting for Lift Wing in a stream."""

from __future__ import annotations

import queue
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

from transforms.answers import NotCalled
from transforms.asking import AskFn, Output, Pending
from transforms.at_rest import Tag, decode_pending, encode_pending, tag_of, wake
from transforms.desk import Waiting, desk_of, name_of
from transforms.environment import REAL, Environment
from transforms.keys_in_state import KeyByEvent, KeyTogether
from transforms.lanes import Answer
from transforms.lift_wing import Counts
from transforms.models import Configuration

_SHORTEST_LOOK_S, _LONGEST_LOOK_S = 0.1, 2.5
_LOOKS_PER_S = 25  # each brings home all answers that are there, whoever they are for
_REMEMBERED_S = 3600  # what ChangeProp remembers of an event
_GAUGES_S = 1.0


def next_look_s(waiting: int, uniform: Callable[[float, float], float]) -> float:
    """How long to leave a batch alone while a process has so many `waiting`: there are as many looks a second whether few wait or many."""
    return min(_LONGEST_LOOK_S, max(_SHORTEST_LOOK_S, waiting / _LOOKS_PER_S * uniform(0.5, 1.5)))


@dataclass(frozen=True)
class InState:
    """Batches wait in Flink's state, and whoever comes next to this process, new batches or the timer of waiting ones, takes home every
    answer that is there: nothing waits for anything else. For streams.

    Batches that come together share a key, since what is asked of state is asked by key, and each time costs a round trip to Flink.
    What cannot be called now is in state alone: a process remembers only the keys that have a request with Lift Wing.
    A process that dies is replaced by one that asks again for what the last checkpoint held. That needs a new process for each attempt
    of a job, as Flink's workers are; not LOOPBACK, whose one process would take what a failed attempt gave out for done.
    """

    each_event_once: bool = False  # drop an event whose `meta.id` came within the last hour
    environment: Environment = REAL

    def asking(self, configuration: Configuration) -> beam.PTransform:
        asking = beam.ParDo(AskInStateFn(configuration, self.each_event_once, self.environment))
        asking.label = "AskInState"  # a snapshot has it in the ids of timers, where the default would be the name of the class
        keyed = "Key" >> KeyByEvent(self.environment) if self.each_event_once else "Key" >> KeyTogether(self.environment)
        return keyed | asking.with_outputs("failures", main="responses")


class AskInStateFn(AskFn):
    """State is written with each batch, and read only when this process does not know the key: to read it is a round trip to Flink."""

    PENDING = BagStateSpec("pending", coders.BytesCoder())
    LOOK = TimerSpec("look", TimeDomain.REAL_TIME)
    SEEN = BagStateSpec("seen", coders.BytesCoder())
    FORGET = TimerSpec("forget", TimeDomain.REAL_TIME)

    def __init__(self, configuration: Configuration, each_event_once: bool, environment: Environment = REAL) -> None:
        super().__init__(configuration, environment)
        self._each_event_once = each_event_once
        self._repeated = Metrics.counter("ScoreWithLiftWing", "dropped_repeated")
        self._gauges = {(model, name): Metrics.gauge("ScoreWithLiftWing", f"{name}_{model}") for model in configuration.models for name in Counts._fields}

    def setup(self) -> None:
        super().setup()
        self._desk = desk_of(self.lift_wing, self.environment.new_id)
        self._gauges_due = 0.0

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
        if self._each_event_once:
            if any(True for _ in seen.read()):
                self._repeated.inc(len(new))
                return
            seen.add(b"")
            forget.set(Timestamp.of(self.environment.time() + _REMEMBERED_S))
            waiting = self._known(key, pending)  # it may wait for longer than it is remembered
        else:
            waiting = self._desk.waiting[key] = Waiting()
        pending.add(encoded)
        self._repeated.inc(waiting.add(new))
        yield from self._serve(key, waiting, pending, look)

    @on_timer(LOOK)
    def look(
        self,
        key: str = beam.DoFn.KeyParam,
        tag: str = beam.DoFn.DynamicTimerTagParam,
        pending: Any = beam.DoFn.StateParam(PENDING),
        look: Any = beam.DoFn.TimerParam(LOOK),
    ) -> Iterator[Output]:
        if key not in self._desk.waiting:  # it waits in state alone, or was asked by a process before this one
            asked, has_to_be_read = Tag.decode(tag).taken_over(self._desk.process).asked(self.environment.time(), self.endpoint, self.lift_wing.seconds_to_wait)
            if not has_to_be_read:
                _wake_later(look, asked)
                yield from self._answers()
                return
            wake(asked, self._known(key, pending).pending.values(), self.environment.time())
        yield from self._serve(key, self._desk.waiting[key], pending, look)

    @on_timer(FORGET)
    def forget(self, seen: Any = beam.DoFn.StateParam(SEEN)) -> None:
        seen.clear()

    def finish_bundle(self) -> None:
        if (now := self.environment.monotonic()) >= self._gauges_due or not self._desk.waiting:  # the last bundle before a pause tells of the pause
            self._gauges_due = now + _GAUGES_S
            counts = self.lift_wing.counts()
            for (model, name), gauge in self._gauges.items():
                gauge.set(getattr(counts.get(model, Counts()), name))
        self.recent_milliseconds.tell()

    def _known(self, key: str, pending: Any) -> Waiting:
        """What this process knows of a key, which it reads if need be."""
        waiting = self._desk.waiting.get(key)
        if waiting is None:
            waiting = self._desk.waiting[key] = Waiting()
            for encoded in pending.read():
                self._repeated.inc(waiting.add(decode_pending(encoded)))
        return waiting

    def _serve(self, key: str, waiting: Waiting, pending: Any, look: Any) -> Iterator[Output]:
        """Takes home what is answered, calls what is due, and leaves the rest of this key in state until it is worth another look."""
        yield from self._answers()
        yield from self._call_what_is_due(key, waiting)
        if waiting.changed:
            pending.clear()
            if waiting.pending:
                pending.add(encode_pending(waiting.pending.values()))
            waiting.changed = False
        if waiting.called:
            look.set(Timestamp.of(self.environment.time() + next_look_s(len(self._desk.waiting), self.environment.uniform)))
            return
        del self._desk.waiting[key]
        if waiting.pending:
            _wake_later(look, tag_of(self._desk.process, waiting.pending.values(), self.max_age_s, self.endpoint))

    def _answers(self) -> Iterator[Output]:
        """Every answer that is there, for this key or another; the look of its own key then takes it out of the state."""
        while True:
            try:
                key, pending, answer = self._desk.answered.get_nowait()
            except queue.Empty:
                return
            waiting, name = self._desk.waiting[key], name_of(pending)
            waiting.called.remove(name)
            if pending.ends_with(answer, self.max_age_s, self.environment):
                waiting.end(name)
                yield self.end(pending, answer)
            else:
                self.tell(pending)
                waiting.changed |= not isinstance(answer.result, NotCalled)

    def _call_what_is_due(self, key: str, waiting: Waiting) -> Iterator[Output]:
        now = self.environment.time()
        for name, pending in list(waiting.pending.items()):
            if name not in waiting.called and pending.due <= now + 0.01 and (answer := self._call(key, waiting, name, now)):
                waiting.end(name)
                yield self.end(pending, answer)

    def _call(self, key: str, waiting: Waiting, name: str, now: float) -> Answer | None:
        """Calls, or says when the request is due again; gives an answer where that is its end."""
        pending = waiting.pending[name]
        request, endpoint = pending.request, self.endpoint(pending.request.model, pending.request.wiki)
        if endpoint is None:
            pending.reason = f"the models file has no {request.model} of {request.wiki} any more"
            return Answer(NotCalled(pending.reason), 0.0)
        wait = self.lift_wing.seconds_to_wait(endpoint, int(pending.waited))
        pending.waited = wait > 0
        if not wait:
            waiting.called.add(name)
            self.lift_wing.ask(endpoint, request, partial(self._put, key, pending))
            return None
        if endpoint.concurrency == 0:  # stopped by the operator: its age counts from when it is called for again
            pending.asked_at, waiting.changed = now, True
        elif pending.ends_with(not_called := Answer(self.lift_wing.not_called(endpoint), 0.0), self.max_age_s, self.environment):
            return not_called
        pending.due = min(now + wait, pending.asked_at + self.max_age_s)
        return None

    def _put(self, key: str, pending: Pending, answer: Answer) -> None:
        self._desk.answered.put((key, pending, answer))


def _wake_later(look: Any, tag: Tag) -> None:
    look.set(Timestamp.of(tag.due), dynamic_timer_tag=tag.encode())
