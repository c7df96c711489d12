"""The combined event in a stream: what became of the requests of a revision waits in Flink's state until all
of it is there, or for a time at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam import coders
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

import schemas
from transforms.async_io.outcome_codec import Outcome, decode_outcome, encode_outcome
from transforms.elements import Failure, OutputEvent
from transforms.events.combined_events import STREAM, Part, combined_score
from transforms.events.parsing import NotAnEventError, parse
from transforms.events.score_events import utc_now
from transforms.events.source_events import rev_id_of, wiki_of
from transforms.metrics.bundle_metrics import BundleMetrics
from transforms.models.model import Model
from transforms.models.selection import Selection
from transforms.worker.unforeseen import Fused

_REMEMBERED_S = 3600.0  # that a revision is done, so that what comes late makes no second event


@dataclass
class CombineInState(beam.PTransform):
    """Combines what all models said of a revision into one event.

    In: scores, and the failures of all steps.
    Out: an OutputEvent for each revision.
    Bounded: unbounded, as it waits in state for `limit_s` at most.
    Guarantee: one event for each revision, with an error of type timeout for a model that is late; what comes
        later, and a revision of whose failures no event can be built, is counted and dropped.
    """

    models: Mapping[str, Model]
    schema: str
    limit_s: float
    clock: Callable[[], str] = utc_now

    def expand(
        self, outcomes: tuple[beam.PCollection[OutputEvent], Sequence[beam.PCollection[Failure]]]
    ) -> beam.PCollection[OutputEvent]:
        scores, failures = outcomes
        keyed = [scores | "KeyScores" >> beam.ParDo(_KeyFn(self.models)).with_output_types(tuple[str, bytes])]
        keyed += [
            each
            | f"KeyFailures{index}" >> beam.ParDo(_KeyFn(self.models)).with_output_types(tuple[str, bytes])
            for index, each in enumerate(failures)
        ]
        return (
            keyed
            | "AllOutcomes" >> beam.Flatten()
            | "Combine" >> beam.ParDo(_CombineFn(self.schema, self.limit_s, self.clock))
        )


class _KeyFn(beam.DoFn):
    """Gives each outcome its revision as a key, and the models that are expected to say something of it."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = {
            name: model for name, model in models.items() if model.schema == schemas.REVISION_SCORE
        }

    def setup(self) -> None:
        self._selection = Selection(self._models)
        self._fused = Fused("CombineScores", self._keyed, str, _nothing, holds=True)
        self._metrics = BundleMetrics(self._fused.unforeseen)

    def start_bundle(self) -> None:
        self._metrics.start_bundle()

    def process(self, outcome: OutputEvent | Failure) -> list[tuple[str, bytes]]:
        """Returns none for what meets an unforeseen exception: it is missing in its combined event, and went
        to its own stream."""
        return self._fused.outputs(outcome)

    def _keyed(self, outcome: OutputEvent | Failure) -> Iterator[tuple[str, bytes]]:
        if isinstance(outcome, Failure):
            try:
                raw = parse(outcome.original)
            except NotAnEventError:
                return
            model, part = outcome.model, Part(str(outcome.model), raw, outcome.step, outcome.reason)
        else:
            assert outcome.request
            raw, model, part = (
                outcome.request.event.raw,
                outcome.request.model,
                Part(outcome.request.model, outcome.body),
            )
        if model in self._models:
            expected = [endpoint.model for endpoint in self._selection.endpoints(raw)]
            yield (
                f"{wiki_of(raw)}/{rev_id_of(raw)}",
                encode_outcome(Outcome(outcome.datacenter, expected, part)),
            )


class _CombineFn(beam.DoFn):
    PARTS = BagStateSpec("parts", coders.BytesCoder())
    DONE = BagStateSpec("done", coders.BytesCoder())
    LIMIT = TimerSpec("limit", TimeDomain.REAL_TIME)
    FORGET = TimerSpec("forget", TimeDomain.REAL_TIME)

    def __init__(self, schema: str, limit_s: float, clock: Callable[[], str]) -> None:
        self._schema, self._limit_s, self._clock = schema, limit_s, clock
        self._combined = Metrics.counter("CombineScores", "events")
        self._invalid = Metrics.counter("CombineScores", "dropped_invalid")
        self._late = Metrics.counter("CombineScores", "dropped_late")

    def setup(self) -> None:
        self._fused = Fused("CombineScores", self._event, str, _nothing, holds=True)
        self._metrics = BundleMetrics(self._fused.unforeseen)

    def start_bundle(self) -> None:
        self._metrics.start_bundle()

    def process(
        self,
        element: tuple[str, bytes],
        parts: Any = beam.DoFn.StateParam(PARTS),
        done: Any = beam.DoFn.StateParam(DONE),
        limit: Any = beam.DoFn.TimerParam(LIMIT),
        forget: Any = beam.DoFn.TimerParam(FORGET),
    ) -> Iterator[OutputEvent]:
        if any(True for _ in done.read()):
            self._late.inc()
            return
        _, encoded = element
        there = [*parts.read(), encoded]
        outcomes = [decode_outcome(each) for each in there]
        if {outcome.part.model for outcome in outcomes} >= set(outcomes[-1].expected):
            limit.clear()
            yield from self._whole(outcomes, parts, done, forget)
        else:
            parts.add(encoded)
            if len(there) == 1:
                limit.set(Timestamp.of(time.time() + self._limit_s))

    @on_timer(LIMIT)
    def limit(
        self,
        parts: Any = beam.DoFn.StateParam(PARTS),
        done: Any = beam.DoFn.StateParam(DONE),
        forget: Any = beam.DoFn.TimerParam(FORGET),
    ) -> Iterator[OutputEvent]:
        if outcomes := [decode_outcome(each) for each in parts.read()]:
            yield from self._whole(outcomes, parts, done, forget)

    @on_timer(FORGET)
    def forget(self, done: Any = beam.DoFn.StateParam(DONE)) -> None:
        done.clear()

    def _whole(self, outcomes: list[Outcome], parts: Any, done: Any, forget: Any) -> Iterator[OutputEvent]:
        """Yields the event of a revision, and remembers that it is done; none of a revision of which all
        failed and no event can be made, whose failures are in the failure stream."""
        parts.clear()
        done.add(b"")
        forget.set(Timestamp.of(time.time() + _REMEMBERED_S))
        there, last = [outcome.part for outcome in outcomes], outcomes[-1]
        late = f"no score within {self._limit_s:g} s"
        missing = [
            Part(model, last.part.event, "timeout", late)
            for model in last.expected
            if model not in {part.model for part in there}
        ]
        yield from self._fused.outputs(_Parts([*there, *missing], last.datacenter))

    def _event(self, of_revision: _Parts) -> Iterator[OutputEvent]:
        try:
            body = combined_score(of_revision.parts, self._schema, self._clock())
        except schemas.InvalidEventError:
            self._invalid.inc()
        else:
            self._combined.inc()
            yield OutputEvent(STREAM, body, of_revision.datacenter)


class _Parts(NamedTuple):
    """What each model said of one revision."""

    parts: Sequence[Part]
    datacenter: str


def _nothing(element: object, reason: str) -> tuple[()]:
    return ()
