"""Third step, and the only one that waits: each request becomes a response or a failure.

All requests of one revision travel together as a batch: they come from the same event, so a batch is formed
without waiting for anything, the event is written once for all its models, and each answer still leaves as it
comes. How a worker waits for the answers is a value given to the step: `InState` for streams, `InBundle` for
bounded input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from transforms.async_io.bounded import InBundle
from transforms.async_io.score_fn import Batch
from transforms.async_io.stateful import InState
from transforms.elements import Failure, ScoreRequest, ScoreResponse
from transforms.global_window import in_global_window
from transforms.models.model import Configuration


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
            yield in_global_window(tuple(self._batch))
