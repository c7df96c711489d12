"""A sink that hands the events of a pipeline to the caller that runs it, in the same process."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import apache_beam as beam

from transforms.elements import OutputEvent

_LISTS: dict[str, list[OutputEvent]] = {}  # a step is pickled and cannot hold one


class Collected(beam.PTransform):
    """Appends each event to the list of that `key`, for the caller that runs the graph in this process.

    In: OutputEvent.
    Out: nothing.
    Bounded: bounded.
    Guarantee: each event is in the list.
    """

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def expand(self, events: beam.PCollection[OutputEvent]) -> beam.PCollection[None]:
        key = self._key  # the DoFn must not hold the transform
        return events | "Collect" >> beam.ParDo(_CollectFn(key))


class _CollectFn(beam.DoFn):
    def __init__(self, key: str) -> None:
        self._key = key

    def process(self, event: OutputEvent) -> None:
        _LISTS[self._key].append(event)


@contextmanager
def collecting() -> Iterator[tuple[Collected, list[OutputEvent]]]:
    """Yields a sink, and the list that it fills while the context is open."""
    key = str(uuid.uuid4())
    _LISTS[key] = []
    try:
        yield Collected(key), _LISTS[key]
    finally:
        del _LISTS[key]
