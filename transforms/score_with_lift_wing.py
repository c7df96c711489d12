"""Third step, and the only one that waits: each request becomes a response or a failure.

All requests of one revision travel together as a batch: they come from the same event, so a batch is formed without waiting for
anything, the event is written once for all its models, and each answer still leaves as it comes. How a worker waits for the
answers is a value given to the step: `InState` for streams, `InBundle` for bounded input.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import orjson
from apache_beam import coders
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.elements import Event, Failure, Score, ScoreRequest, ScoreResponse, json_text
from transforms.lift_wing import Answer, LiftWing, LiftWingError, SharedLiftWing
from transforms.models import Configuration, Endpoint

Batch = tuple[ScoreRequest, ...]
Output = Any  # ScoreResponse or TaggedOutput of "failures"; Beam has no name for that at run time

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.1, 5.0
_LOOKS_PER_AGE = 0.05  # an answer is found at most 5 % of its own time after it came
_MOST_OWED = 2_000  # requests; bounds the memory of a bundle, and is far above what is ever in flight


def next_look_s(age_s: float) -> float:
    """How long to leave a batch alone that has waited `age_s`: a quick answer is found quickly, a hung model costs few looks."""
    return min(_LONGEST_LOOK_S, max(_FIRST_LOOK_S, age_s * _LOOKS_PER_AGE))


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
    """A batch waits in Flink's state under its revision's key, and a timer looks for its answers: nothing waits for anything else,
    and a process that dies asks again for what its last checkpoint held. For streams."""

    def asking(self, configuration: Configuration) -> beam.PTransform:
        asking = beam.ParDo(_AskInStateFn(configuration)).with_outputs("failures", main="responses")
        return _KeyByRevision() | asking


class _KeyByRevision(beam.PTransform):
    def expand(self, batches: beam.PCollection[Batch]) -> beam.PCollection[tuple[str, bytes]]:
        return batches | "KeyByRevision" >> beam.Map(_keyed).with_output_types(tuple[str, bytes])


def _keyed(batch: Batch) -> tuple[str, bytes]:
    return f"{batch[0].wiki}/{batch[0].rev_id}", encode_pending(batch, time.time())


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
        self._lift_wing.forget(self._endpoint(request), request.rev_id)
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
        return self._output(request, answer)


class _AskInStateFn(_AskFn):
    PENDING = ReadModifyWriteStateSpec("pending", coders.BytesCoder())
    LOOK = TimerSpec("look", TimeDomain.REAL_TIME)

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self._repeated = Metrics.counter("ScoreWithLiftWing", "dropped_repeated")

    def process(
        self,
        element: tuple[str, bytes],
        pending: Any = beam.DoFn.StateParam(PENDING),
        look: Any = beam.DoFn.TimerParam(LOOK),
    ) -> None:
        before = pending.read()
        batch, asked_at = decode_pending(element[1])
        if before is None:
            pending.write(element[1])
            look.set(Timestamp.of(time.time() + next_look_s(0)))
        else:
            waiting, asked_at = decode_pending(before)
            added = tuple(request for request in batch if request.model not in {other.model for other in waiting})
            self._repeated.inc(len(batch) - len(added))
            pending.write(encode_pending(waiting + added, asked_at))
            batch = added
        self._ask(batch, asked_at)

    @on_timer(LOOK)
    def look(
        self,
        pending: Any = beam.DoFn.StateParam(PENDING),
        look: Any = beam.DoFn.TimerParam(LOOK),
    ) -> Iterable[Output]:
        batch, asked_at = decode_pending(pending.read())
        waiting: list[ScoreRequest] = []
        for request, answer in self._ask(batch, asked_at):
            if answer is None:
                waiting.append(request)
            else:
                yield self._output(request, answer)
        if not waiting:
            pending.clear()
            return
        if len(waiting) < len(batch):
            pending.write(encode_pending(tuple(waiting), asked_at))
        now = time.time()
        look.set(Timestamp.of(now + next_look_s(now - asked_at)))

    def _ask(self, batch: Batch, asked_at: float) -> list[tuple[ScoreRequest, Answer | None]]:
        """To ask again for what is already asked is to look for its answer: so a new process takes up what another had asked."""
        return [(request, self._lift_wing.ask(self._endpoint(request), request.rev_id, asked_at=asked_at).answer) for request in batch]
