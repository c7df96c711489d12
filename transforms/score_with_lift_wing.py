"""Third step, and the only one that waits: each request becomes a response or a failure.

All requests of one revision travel together as a batch: they come from the same event, so a batch is formed without waiting for
anything, the event is written once for all its models, and each answer still leaves as it comes. How a worker waits for the
answers is a value given to the step: `InState` for streams, `InBundle` for bounded input.
"""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import apache_beam as beam
import orjson
from apache_beam import coders
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.elements import Event, Failure, Score, ScoreRequest, ScoreResponse, json_text
from transforms.lift_wing import Answer, LiftWing, LiftWingError, SharedLiftWing
from transforms.models import Configuration, Endpoint

Batch = tuple[ScoreRequest, ...]
Output = Any  # ScoreResponse or TaggedOutput of "failures"; Beam has no name for that at run time

_SHORTEST_LOOK_S, _LONGEST_LOOK_S = 0.1, 5.0
_LOOKS_PER_S = 25  # each brings home all answers that are there, whoever they are for
_MOST_OWED = 2_000  # requests; bounds the memory of a bundle, and is far above what is ever in flight


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


class Scored(NamedTuple):
    responses: beam.PCollection[ScoreResponse]
    failures: beam.PCollection[Failure]


@dataclass
class ScoreWithLiftWing(beam.PTransform):
    """Gives Scored: a response or a failure for each request, in the order in which Lift Wing answers."""

    configuration: Configuration
    waiting: InBundle | InState

    def expand(self, requests: beam.PCollection[ScoreRequest]) -> Scored:
        batches = requests | "BatchByRevision" >> beam.ParDo(_BatchByRevisionFn())
        scored = batches | "Ask" >> self.waiting.asking(self.configuration)
        return Scored(scored.responses, scored.failures)


@dataclass(frozen=True)
class InBundle:
    """A bundle waits until its requests are answered, with many in flight: for bounded input, where only the rate counts."""

    def asking(self, configuration: Configuration) -> beam.PTransform:
        return beam.ParDo(_AskInBundleFn(configuration)).with_outputs("failures", main="responses")


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


class _BatchByRevisionFn(beam.DoFn):
    """Requests of one event follow each other, so that the next event ends the batch."""

    def start_bundle(self) -> None:
        self._batch: list[ScoreRequest] = []

    def process(self, request: ScoreRequest) -> Iterator[Batch]:
        if self._batch and self._batch[0].event is not request.event:
            yield tuple(self._batch)
            self._batch = []
        self._batch.append(request)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._batch:
            yield _in_global_window(tuple(self._batch))


def _in_global_window(value: Any) -> WindowedValue:
    return WindowedValue(value, MIN_TIMESTAMP, [GlobalWindow()])


class _AskFn(beam.DoFn):
    """What both ways of waiting share: the process's connection to Lift Wing, and an answer's way out."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._calls = {model: Metrics.counter("ScoreWithLiftWing", f"calls_{model}") for model in configuration.models}
        self._failed = {model: Metrics.counter("ScoreWithLiftWing", f"failures_{model}") for model in configuration.models}
        self._milliseconds = {model: Metrics.distribution("ScoreWithLiftWing", f"call_ms_{model}") for model in configuration.models}

    def setup(self) -> None:
        self._lift_wing: LiftWing = SharedLiftWing.acquire(self._configuration.lift_wing)
        self._endpoints: Mapping[str, Mapping[str, Endpoint]] = {name: model.endpoints for name, model in self._configuration.models.items()}

    def teardown(self) -> None:
        SharedLiftWing.release(self._configuration.lift_wing)

    def _endpoint(self, request: ScoreRequest) -> Endpoint:
        return self._endpoints[request.model][request.wiki]

    def _output(self, request: ScoreRequest, answer: Answer) -> Output:
        self._calls[request.model].inc(answer.tries)
        self._milliseconds[request.model].update(round(answer.seconds * 1000))
        if isinstance(answer.result, Score):
            return ScoreResponse(request, answer.result)
        if not isinstance(answer.result, LiftWingError):
            raise answer.result
        self._failed[request.model].inc()
        return TaggedOutput("failures", failure(request, answer.result, answer.tries))


def failure(request: ScoreRequest, error: LiftWingError, tries: int) -> Failure:
    """The failure of a request, with how often it was tried where that was more than once."""
    reason = f"{error} ({tries} tries)" if tries > 1 else str(error)
    event = request.event
    return Failure("ScoreWithLiftWing", reason, json_text(event.raw), event.datacenter, request.model, event.partition)


class _AskInBundleFn(_AskFn):
    def start_bundle(self) -> None:
        self._answered: queue.SimpleQueue[tuple[ScoreRequest, Answer]] = queue.SimpleQueue()
        self._owed = 0

    def process(self, batch: Batch) -> Iterator[Output]:
        for request in batch:
            self._ask(request)
        while self._owed > _MOST_OWED or not self._answered.empty():
            yield self._next()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        while self._owed:
            output = self._next()
            if isinstance(output, TaggedOutput):
                yield TaggedOutput(output.tag, _in_global_window(output.value))
            else:
                yield _in_global_window(output)

    def _ask(self, request: ScoreRequest) -> None:
        self._owed += 1
        self._lift_wing.ask(self._endpoint(request), request.rev_id, lambda answer: self._answered.put((request, answer)))

    def _next(self) -> Output:
        request, answer = self._answered.get()
        self._owed -= 1
        self._lift_wing.forget(self._endpoint(request), request.rev_id)
        return self._output(request, answer)


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


class _AskInStateFn(_AskFn):
    """State is only written here, and read after a restart: to read it is a round trip to Flink."""

    PENDING = BagStateSpec("pending", coders.BytesCoder())
    LOOK = TimerSpec("look", TimeDomain.REAL_TIME)

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self._repeated = Metrics.counter("ScoreWithLiftWing", "dropped_repeated")

    def setup(self) -> None:
        super().setup()
        self._desk = _DESKS.setdefault(self._lift_wing, _Desk())

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
            self._lift_wing.ask(self._endpoint(request), request.rev_id, partial(self._put, request), waiting.asked_at)

    def _put(self, request: ScoreRequest, answer: Answer) -> None:
        self._desk.answered.put((request, answer))

    def _answers(self) -> Iterator[Output]:
        """Every answer that is there, for this key or another; the look of its own key then takes it out of the state."""
        while True:
            try:
                request, answer = self._desk.answered.get_nowait()
            except queue.Empty:
                return
            self._lift_wing.forget(self._endpoint(request), request.rev_id)
            yield self._output(request, answer)
            del self._desk.waiting[key_of(request)].requests[request.model]

    def _next_look(self) -> Timestamp:
        return Timestamp.of(time.time() + next_look_s(len(self._desk.waiting)))
