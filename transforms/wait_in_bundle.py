"""Waiting for Lift Wing in a batch run."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from transforms.asking import AskFn, Batch, Output, in_global_window
from transforms.elements import ScoreRequest
from transforms.lift_wing import Answer
from transforms.models import Configuration

_MOST_OWED = 2_000  # requests; bounds the memory of a bundle, and is far above what is ever in flight


@dataclass(frozen=True)
class InBundle:
    """A bundle waits until its requests are answered, with many in flight: for bounded input, where only the rate counts."""

    def asking(self, configuration: Configuration) -> beam.PTransform:
        return beam.ParDo(_AskInBundleFn(configuration)).with_outputs("failures", main="responses")


class _AskInBundleFn(AskFn):
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
                yield TaggedOutput(output.tag, in_global_window(output.value))
            else:
                yield in_global_window(output)

    def _ask(self, request: ScoreRequest) -> None:
        self._owed += 1
        self.lift_wing.ask(self.endpoint(request), request.rev_id, lambda answer: self._answered.put((request, answer)))

    def _next(self) -> Output:
        request, answer = self._answered.get()
        self._owed -= 1
        self.lift_wing.forget(self.endpoint(request), request.rev_id)
        return self.output(request, answer)
