"""Last step: each score event to the stream or dataset of its model, each failure to the failure stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from transforms.elements import Failure, OutputEvent
from transforms.events.error_events import failed
from transforms.events.score_events import utc_now


@dataclass
class WritePerModel(beam.PTransform):
    """Writes each event to the stream that it names.

    In: OutputEvent.
    Out: what the sink returns.
    Bounded: either.
    Guarantee: that of the sink.
    """

    sink: beam.PTransform

    def expand(self, scores: beam.PCollection[OutputEvent]) -> Any:
        return scores | "Sink" >> self.sink


@dataclass
class WriteFailures(beam.PTransform):
    """Writes failures as error events, by the same sink as scores. `clock` returns the time as events have
    it.

    In: Failure.
    Out: what the sink returns.
    Bounded: either.
    Guarantee: that of the sink.
    """

    sink: beam.PTransform
    stream: str
    clock: Callable[[], str] = utc_now

    def expand(self, failures: beam.PCollection[Failure]) -> Any:
        return (
            failures | "BuildErrorEvent" >> beam.Map(_as_event, self.stream, self.clock) | "Sink" >> self.sink
        )


def _as_event(failure: Failure, stream: str, clock: Callable[[], str]) -> OutputEvent:
    return failed(failure, stream, clock())
