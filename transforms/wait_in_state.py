"""Waiting for Lift Wing in a stream."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import apache_beam as beam
import orjson
from apache_beam import coders
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from transforms.answers import NotCalled
from transforms.asking import AskFn, Batch, Output, Pending
from transforms.elements import Event, ScoreRequest
from transforms.lift_wing import Answer, Counts, LiftWing
from transforms.models import Configuration

_SHORTEST_LOOK_S, _LONGEST_LOOK_S = 0.1, 2.5
_LOOKS_PER_S = 25  # each brings home all answers that are there, whoever they are for
_REMEMBERED_S = 3600  # what ChangeProp remembers of an event
_GAUGES_S = 1.0


def next_look_s(waiting: int) -> float:
    """How long to leave a batch alone while a process has so many `waiting`: there are as many looks a second whether few wait or many."""
    return min(_LONGEST_LOOK_S, max(_SHORTEST_LOOK_S, waiting / _LOOKS_PER_S * random.uniform(0.5, 1.5)))


def encode_pending(pending: Collection[Pending]) -> bytes:
    """Requests of one event as they rest in state: JSON, so that a savepoint outlives a change of this code."""
    event = next(iter(pending)).request.event
    return orjson.dumps(
        {
            "event": event.raw,
            "datacenter": event.datacenter,
            "partition": event.partition,
            "models": {each.request.model: [each.asked_at, each.tries, each.due, each.reason] for each in pending},
        }
    )


def decode_pending(encoded: bytes) -> list[Pending]:
    """What `encode_pending` wrote."""
    value = orjson.loads(encoded)
    event = Event(value["event"], value["datacenter"], value["partition"])
    wiki, rev_id = event.raw["database"], event.raw["rev_id"]
    return [Pending(ScoreRequest(event, model, wiki, rev_id), *told) for model, told in value["models"].items()]


@dataclass(frozen=True)
class InState:
    """A batch waits in Flink's state under its event's key, and whoever comes next to this process, a new batch or the timer of a
    waiting one, takes home every answer that is there: nothing waits for anything else. For streams.

    What cannot be called now is in state alone: a process remembers only the batches that have a request with Lift Wing.
    A process that dies is replaced by one that asks again for what the last checkpoint held. That needs a new process for each attempt
    of a job, as Flink's workers are; not LOOPBACK, whose one process would take what a failed attempt gave out for done.
    """

    each_event_once: bool = False  # drop an event whose `meta.id` came within the last hour

    def asking(self, configuration: Configuration) -> beam.PTransform:
        asking = beam.ParDo(_AskInStateFn(configuration, self.each_event_once)).with_outputs("failures", main="responses")
        return _KeyByEvent() | asking


class _KeyByEvent(beam.PTransform):
    def expand(self, batches: beam.PCollection[Batch]) -> beam.PCollection[tuple[str, bytes]]:
        return batches | "KeyByEvent" >> beam.Map(_keyed).with_output_types(tuple[str, bytes])


def _keyed(batch: Batch) -> tuple[str, bytes]:
    now = time.time()
    return key_of(batch[0].event.raw), encode_pending([Pending(request, now) for request in batch])


def key_of(raw: Mapping[str, Any]) -> str:
    """The same for an event that comes again, and for no other."""
    meta = raw.get("meta")
    return f"{raw['database']}/{raw['rev_id']}/{meta.get('id') if isinstance(meta, Mapping) else None}"


@dataclass(slots=True)
class _Waiting:
    """What a process knows of one key while any of its requests is with Lift Wing."""

    pending: dict[str, Pending] = field(default_factory=dict)  # by model, what has not ended
    models: set[str] = field(default_factory=set)  # that were asked for, ended or not
    called: set[str] = field(default_factory=set)  # models whose request is with Lift Wing
    changed: bool = False  # the state says something else

    def add(self, pending: Iterable[Pending]) -> int:
        """Takes what it does not know yet; gives how many it knew."""
        known = 0
        for each in pending:
            known += each.request.model in self.models
            if each.request.model not in self.models:
                self.models.add(each.request.model)
                self.pending[each.request.model] = each
        return known

    def end(self, model: str) -> None:
        del self.pending[model]
        self.changed = True


class _Desk:
    """What the DoFns of a process share, so that any of them can take home any answer."""

    def __init__(self) -> None:
        self.answered: queue.SimpleQueue[tuple[str, Pending, Answer]] = queue.SimpleQueue()
        self.waiting: dict[str, _Waiting] = {}


_DESKS: WeakKeyDictionary[LiftWing, _Desk] = WeakKeyDictionary()


class _AskInStateFn(AskFn):
    """State is written with each batch, and read only when this process does not know the key: to read it is a round trip to Flink."""

    PENDING = BagStateSpec("pending", coders.BytesCoder())
    LOOK = TimerSpec("look", TimeDomain.REAL_TIME)
    SEEN = BagStateSpec("seen", coders.BytesCoder())
    FORGET = TimerSpec("forget", TimeDomain.REAL_TIME)

    def __init__(self, configuration: Configuration, each_event_once: bool) -> None:
        super().__init__(configuration)
        self._each_event_once = each_event_once
        self._repeated = Metrics.counter("ScoreWithLiftWing", "dropped_repeated")
        self._gauges = {(model, name): Metrics.gauge("ScoreWithLiftWing", f"{name}_{model}") for model in configuration.models for name in Counts._fields}

    def setup(self) -> None:
        super().setup()
        self._desk = _DESKS.setdefault(self.lift_wing, _Desk())
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
        batch = decode_pending(encoded)
        if self._each_event_once and any(True for _ in seen.read()):
            self._repeated.inc(len(batch))
        else:
            if self._each_event_once:
                seen.add(b"")
                forget.set(Timestamp.of(time.time() + _REMEMBERED_S))
            pending.add(encoded)
            waiting = self._desk.waiting.setdefault(key, _Waiting())
            self._repeated.inc(waiting.add(batch))
            yield from self._serve(key, waiting, pending, look)

    @on_timer(LOOK)
    def look(
        self,
        key: str = beam.DoFn.KeyParam,
        pending: Any = beam.DoFn.StateParam(PENDING),
        look: Any = beam.DoFn.TimerParam(LOOK),
    ) -> Iterator[Output]:
        waiting = self._desk.waiting.get(key)
        if waiting is None:  # it waits in state alone, or was asked by a process before this one
            waiting = self._desk.waiting[key] = _Waiting()
            for encoded in pending.read():
                if repeated := waiting.add(decode_pending(encoded)):
                    self._repeated.inc(repeated)
                    waiting.changed = True
            for each in waiting.pending.values():
                each.waited = True
        yield from self._serve(key, waiting, pending, look)

    @on_timer(FORGET)
    def forget(self, seen: Any = beam.DoFn.StateParam(SEEN)) -> None:
        seen.clear()

    def finish_bundle(self) -> None:
        if (now := time.monotonic()) >= self._gauges_due or not self._desk.waiting:  # the last bundle before a pause tells of the pause
            self._gauges_due = now + _GAUGES_S
            counts = self.lift_wing.counts()
            for (model, name), gauge in self._gauges.items():
                gauge.set(getattr(counts.get(model, Counts()), name))
        self.recent_milliseconds.tell()

    def _serve(self, key: str, waiting: _Waiting, pending: Any, look: Any) -> Iterator[Output]:
        """Takes home what is answered, calls what is due, and leaves the rest of this key in state until it is worth another look."""
        yield from self._answers()
        yield from self._call_what_is_due(key, waiting)
        if waiting.changed:
            pending.clear()
            if waiting.pending:
                pending.add(encode_pending(waiting.pending.values()))
            waiting.changed = False
        if waiting.called:
            look.set(Timestamp.of(time.time() + next_look_s(len(self._desk.waiting))))
            return
        del self._desk.waiting[key]
        if waiting.pending:
            look.set(Timestamp.of(min(each.due for each in waiting.pending.values())))

    def _answers(self) -> Iterator[Output]:
        """Every answer that is there, for this key or another; the look of its own key then takes it out of the state."""
        while True:
            try:
                key, pending, answer = self._desk.answered.get_nowait()
            except queue.Empty:
                return
            waiting = self._desk.waiting[key]
            model = pending.request.model
            waiting.called.remove(model)
            if pending.ends_with(answer, self.max_age_s):
                waiting.end(model)
                yield self.end(pending, answer)
            else:
                self.tell(pending)
                waiting.changed |= not isinstance(answer.result, NotCalled)

    def _call_what_is_due(self, key: str, waiting: _Waiting) -> Iterator[Output]:
        now = time.time()
        for model, pending in list(waiting.pending.items()):
            if model not in waiting.called and pending.due <= now + 0.01 and (answer := self._call(key, waiting, pending, now)):
                waiting.end(model)
                yield self.end(pending, answer)

    def _call(self, key: str, waiting: _Waiting, pending: Pending, now: float) -> Answer | None:
        """Calls, or says when the request is due again; gives an answer where that is its end."""
        request, endpoint = pending.request, self.endpoint(pending.request)
        if endpoint is None:
            pending.reason = f"the models file has no {request.model} of {request.wiki} any more"
            return Answer(NotCalled(pending.reason), 0.0)
        wait = self.lift_wing.seconds_to_wait(endpoint, waited=pending.waited)
        pending.waited = wait > 0
        if not wait:
            waiting.called.add(request.model)
            self.lift_wing.ask(endpoint, request.rev_id, partial(self._put, key, pending))
            return None
        if endpoint.concurrency == 0:  # stopped by the operator: its age counts from when it is called for again
            pending.asked_at, waiting.changed = now, True
        elif pending.ends_with(not_called := Answer(self.lift_wing.not_called(endpoint), 0.0), self.max_age_s):
            return not_called
        pending.due = min(now + wait, pending.asked_at + self.max_age_s)
        return None

    def _put(self, key: str, pending: Pending, answer: Answer) -> None:
        self._desk.answered.put((key, pending, answer))
