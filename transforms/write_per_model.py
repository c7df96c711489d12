"""Last step: each score event to the stream or dataset of its model, each failure to the failure stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

import schemas
from transforms.build_revision_score import utc_now
from transforms.elements import Failure, OutputEvent
from transforms.failures import ERROR_SCHEMA, error_event


@dataclass
class WritePerModel(beam.PTransform):
    """Writes each event to the stream it names. Gives what the sink gives: nothing, or the files it wrote."""

    sink: beam.PTransform

    def expand(self, scores: beam.PCollection[OutputEvent]) -> Any:
        return scores | "Sink" >> self.sink


@dataclass
class WriteFailures(beam.PTransform):
    """Writes failures as error events by the same sink as scores."""

    sink: beam.PTransform
    stream: str
    clock: Callable[[], str] = utc_now

    def expand(self, failures: beam.PCollection[Failure]) -> Any:
        return failures | "BuildErrorEvent" >> beam.ParDo(_BuildErrorEventFn(self.stream, self.clock)) | "Sink" >> self.sink


class _BuildErrorEventFn(beam.DoFn):
    def __init__(self, stream: str, clock: Callable[[], str]) -> None:
        self._stream, self._clock = stream, clock

    def process(self, failure: Failure) -> Iterator[OutputEvent]:
        body: Mapping[str, Any] = error_event(failure, self._stream, self._clock())
        schemas.validator(ERROR_SCHEMA)(body)
        yield OutputEvent(self._stream, body, failure.datacenter, failure.partition)
