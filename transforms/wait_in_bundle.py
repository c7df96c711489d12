"""Waiting for Lift Wing in a batch run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from transforms.asking import AskFn, Batch, Output, in_global_window
from transforms.elements import ScoreRequest
from transforms.lift_wing import Answer
from transforms.models import Configuration

_MOST_OWED = 2_000  # requests; bounds the memory of a bundle, and is far above what is ever in flight
_TAKEN_AT_ONCE = 128


@dataclass(frozen=True)
class InBundle:
    """A bundle waits until its requests are answered, with many in flight: for bounded input, where only the rate counts."""

    def asking(self, configuration: Configuration) -> beam.PTransform:
        return beam.ParDo(_AskInBundleFn(configuration)).with_outputs("failures", main="responses")


class _AskInBundleFn(AskFn):
    def start_bundle(self) -> None:
        self._answers = _Answers()
        self._owed = 0

    def process(self, batch: Batch) -> Iterator[Output]:
        for request in batch:
            self._owed += 1
            self.lift_wing.ask(self.endpoint(request), request.rev_id, partial(self._answers.put, request))
        if self._owed > _MOST_OWED:
            yield from self._next()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        while self._owed:
            for output in self._next():
                if isinstance(output, TaggedOutput):
                    yield TaggedOutput(output.tag, in_global_window(output.value))
                else:
                    yield in_global_window(output)

    def _next(self) -> Iterator[Output]:
        for request, answer in self._answers.take(min(self._owed, _TAKEN_AT_ONCE)):
            self._owed -= 1
            self.lift_wing.forget(self.endpoint(request), request.rev_id)
            yield self.output(request, answer)


class _Answers:
    """Hands answers from the loop's thread to the bundle's many at a time: to wake a thread for each costs more than the answer."""

    def __init__(self) -> None:
        self._answered: deque[tuple[ScoreRequest, Answer]] = deque()
        self._wanted = 0
        self._enough = threading.Event()

    def put(self, request: ScoreRequest, answer: Answer) -> None:
        self._answered.append((request, answer))
        if len(self._answered) >= self._wanted:
            self._enough.set()

    def take(self, count: int) -> list[tuple[ScoreRequest, Answer]]:
        """So many answers, as soon as they are there."""
        self._wanted = count
        self._enough.clear()
        if len(self._answered) < count:
            self._enough.wait()
        return [self._answered.popleft() for _ in range(count)]
