"""First step: events out of a source. Canary events are dropped and counted; what is no event becomes a
failure."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from transforms.elements import Event, Failure, SourceRecord
from transforms.events.parsing import CANARY, NotAnEventError, event_in, why_dropped
from transforms.events.source_events import event_of
from transforms.metrics.bundle_metrics import BundleMetrics
from transforms.worker.unforeseen import Fused

_LOGGER = logging.getLogger(__name__)


class Read(NamedTuple):
    events: beam.PCollection[Event]
    failures: beam.PCollection[Failure]


@dataclass
class ReadEvents(beam.PTransform):
    """Reads events from a source, and checks that each is one.

    In: nothing: has a source.
    Out: Read: an Event, or a Failure for what is none or cannot be read.
    Bounded: as its source.
    Guarantee: one element out for each record of the source; canary events, and those that name no stream,
        are counted and dropped.
    """

    source: beam.PTransform
    holds: bool = False  # a blown fuse of this step waits; see transforms.worker.unforeseen

    def expand(self, pbegin: beam.pvalue.PBegin) -> Read:
        read = (
            pbegin
            | "Source" >> self.source
            | "CheckEvents" >> beam.ParDo(_CheckEventFn(self.holds)).with_outputs("failures", main="events")
        )
        return Read(read.events, read.failures)


class _CheckEventFn(beam.DoFn):
    def __init__(self, holds: bool) -> None:
        self._holds = holds
        self._events = Metrics.counter("ReadEvents", "events")
        self._canaries = Metrics.counter("ReadEvents", "dropped_canary")
        self._without_stream = Metrics.counter("ReadEvents", "dropped_no_stream")
        self._failures = Metrics.counter("ReadEvents", "failures")

    def setup(self) -> None:
        self._fused = Fused("ReadEvents", self._read, SourceRecord.text, self._failed, holds=self._holds)
        self._metrics = BundleMetrics(self._fused.unforeseen)

    def start_bundle(self) -> None:
        self._metrics.start_bundle()

    def process(self, element: SourceRecord) -> list[Event | TaggedOutput]:
        return self._fused.outputs(element)

    def _failed(self, element: SourceRecord, reason: str) -> Iterator[TaggedOutput]:
        self._failures.inc()
        # what cannot be read can be repaired; what is no event stays none
        retryable = bool(element.problem) and not element.final
        yield TaggedOutput(
            "failures",
            Failure(
                "ReadEvents",
                reason,
                element.text(),
                element.datacenter,
                partition=element.partition,
                retryable=retryable,
            ),
        )

    def _read(self, element: SourceRecord) -> Iterator[Event | TaggedOutput]:
        try:
            raw = event_in(element)
        except NotAnEventError as error:
            yield from self._failed(element, str(error))
        else:
            dropped = why_dropped(raw)
            if dropped is None:
                self._events.inc()
                yield event_of(raw, element.datacenter, element.partition, element.only)
            elif dropped == CANARY:
                self._canaries.inc()
            else:
                self._without_stream.inc()
                _say_once()


@cache
def _say_once() -> None:
    _LOGGER.warning(
        "events without meta.stream are dropped, as ChangeProp does; the counter dropped_no_stream says "
        "how many"
    )
