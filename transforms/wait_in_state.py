"""Waiting for Lift Wing in a stream."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
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

from transforms.asking import AskFn, Batch, Output
from transforms.elements import Event, ScoreRequest
from transforms.lift_wing import Answer, LiftWing
from transforms.models import Configuration

_SHORTEST_LOOK_S, _LONGEST_LOOK_S = 0.1, 5.0
_LOOKS_PER_S = 25  # each brings home all answers that are there, whoever they are for


def next_look_s(waiting: int) -> float:
    """How long to leave a batch alone while a process has so many `waiting`: there are as many looks a second whether few wait or many."""
    return min(_LONGEST_LOOK_S, max(_SHORTEST_LOOK_S, waiting / _LOOKS_PER_S * random.uniform(0.5, 1.5)))


def encode_pending(batch: Batch, asked_at: float) -> bytes:
    """The batch as it rests in state: JSON, so that a savepoint outlives a change of this code."""
    event = batch[0].event
    return orjson.dumps(
        {
            "event": event.raw,
            "datacenter": event.datacenter,
            "partition": event.partition,
            "models": [request.model for request in batch],
            "asked_at": asked_at,
        }
    )


def decode_pending(pending: bytes) -> tuple[Batch, float]:
    """What `encode_pending` wrote."""
    value = orjson.loads(pending)
    event = Event(value["event"], value["datacenter"], value["partition"])
    return tuple(ScoreRequest(event, model, event.raw["database"], event.raw["rev_id"]) for model in value["models"]), value["asked_at"]


@dataclass(frozen=True)
class InState:
    """A batch waits in Flink's state under its revision's key, and whoever comes next to this process, a new batch or the timer of a
    waiting one, takes home every answer that is there: nothing waits for anything else. For streams.

    A process that dies is replaced by one that asks again for what the last checkpoint held. That needs a new process for each attempt
    of a job, as Flink's workers are; not LOOPBACK, whose one process would take what a failed attempt gave out for done.
    """

    def asking(self, configuration: Configuration) -> beam.PTransform:
        asking = beam.ParDo(_AskInStateFn(configuration)).with_outputs("failures", main="responses")
        return _KeyByRevision() | asking


class _KeyByRevision(beam.PTransform):
    def expand(self, batches: beam.PCollection[Batch]) -> beam.PCollection[tuple[str, bytes]]:
        return batches | "KeyByRevision" >> beam.Map(_keyed).with_output_types(tuple[str, bytes])


def _keyed(batch: Batch) -> tuple[str, bytes]:
    return key_of(batch[0]), encode_pending(batch, time.time())


def key_of(request: ScoreRequest) -> str:
    return f"{request.wiki}/{request.rev_id}"


@dataclass(slots=True)
class _Waiting:
    """What a process knows of one key: the requests without an answer, by model, and all models that were asked for."""

    requests: dict[str, ScoreRequest]
    asked: set[str]
    asked_at: float
    in_state: int  # how many requests the state holds


class _Desk:
    """What the DoFns of a process share, so that any of them can take home any answer."""

    def __init__(self) -> None:
        self.answered: queue.SimpleQueue[tuple[ScoreRequest, Answer]] = queue.SimpleQueue()
        self.waiting: dict[str, _Waiting] = {}


_DESKS: WeakKeyDictionary[LiftWing, _Desk] = WeakKeyDictionary()


class _AskInStateFn(AskFn):
    """State is only written here, and read after a restart: to read it is a round trip to Flink."""

    PENDING = BagStateSpec("pending", coders.BytesCoder())
    LOOK = TimerSpec("look", TimeDomain.REAL_TIME)

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self._repeated = Metrics.counter("ScoreWithLiftWing", "dropped_repeated")

    def setup(self) -> None:
        super().setup()
        self._desk = _DESKS.setdefault(self.lift_wing, _Desk())

    def process(
        self,
        element: tuple[str, bytes],
        pending: Any = beam.DoFn.StateParam(PENDING),
        look: Any = beam.DoFn.TimerParam(LOOK),
    ) -> Iterator[Output]:
        key, encoded = element
        pending.add(encoded)
        self._ask(key, *decode_pending(encoded))
        look.set(self._next_look())
        yield from self._answers()

    @on_timer(LOOK)
    def look(
        self,
        key: str = beam.DoFn.KeyParam,
        pending: Any = beam.DoFn.StateParam(PENDING),
        look: Any = beam.DoFn.TimerParam(LOOK),
    ) -> Iterator[Output]:
        if key not in self._desk.waiting:  # asked by a process before this one
            for encoded in pending.read():
                self._ask(key, *decode_pending(encoded))
        yield from self._answers()
        waiting = self._desk.waiting[key]
        left = tuple(waiting.requests.values())
        if len(left) < waiting.in_state:
            pending.clear()
            waiting.in_state = len(left)
            if left:
                pending.add(encode_pending(left, waiting.asked_at))
        if left:
            look.set(self._next_look())
        else:
            del self._desk.waiting[key]

    def _ask(self, key: str, batch: Batch, asked_at: float) -> None:
        """Asks for what this key is not waiting for already."""
        waiting = self._desk.waiting.setdefault(key, _Waiting({}, set(), asked_at, 0))
        waiting.in_state += len(batch)
        for request in batch:
            if request.model in waiting.asked:
                self._repeated.inc()
                continue
            waiting.asked.add(request.model)
            waiting.requests[request.model] = request
            self.lift_wing.ask(self.endpoint(request), request.rev_id, partial(self._put, request), waiting.asked_at)

    def _put(self, request: ScoreRequest, answer: Answer) -> None:
        self._desk.answered.put((request, answer))

    def _answers(self) -> Iterator[Output]:
        """Every answer that is there, for this key or another; the look of its own key then takes it out of the state."""
        while True:
            try:
                request, answer = self._desk.answered.get_nowait()
            except queue.Empty:
                return
            self.lift_wing.forget(self.endpoint(request), request.rev_id)
            yield self.output(request, answer)
            del self._desk.waiting[key_of(request)].requests[request.model]

    def _next_look(self) -> Timestamp:
        return Timestamp.of(time.time() + next_look_s(len(self._desk.waiting)))
