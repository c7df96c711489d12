"""Figures of the last ten minutes, five seconds at a time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

SLICE_S, SLICES = 5, 120
_MOST_KEPT = 200  # durations of a slice; of more, a sample


def slice_of(at: float) -> int:
    """Returns the number of the slice of a time."""
    return int(at // SLICE_S)


@dataclass
class Slice:
    """What one model did in five seconds."""

    asked: int = 0
    scored: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)  # from edits to their scores
    timed: int = 0  # of which those are a sample
    call_p50_s: float | None = None  # of Lift Wing's answers, where Flink tells
    call_p99_s: float | None = None
    _quantiles: tuple[int, float | None, float | None] = (0, None, None)

    def add_seconds(self, seconds: float) -> None:
        self.timed += 1
        if len(self.seconds) < _MOST_KEPT:
            self.seconds.append(seconds)
        elif (place := random.randrange(self.timed)) < _MOST_KEPT:
            self.seconds[place] = seconds

    def quantiles(self) -> tuple[float | None, float | None]:
        """Returns p50 and p99, in seconds."""
        if self._quantiles[0] != self.timed:
            self._quantiles = self.timed, *_p50_and_p99(self.seconds)
        return self._quantiles[1:]


class Slices:
    """The slices of one model. What is older than ten minutes is dropped, what claims to come from the future
    counts as of now."""

    def __init__(self) -> None:
        self._slices: dict[int, Slice] = {}

    def at(self, at: float, now: float) -> Slice:
        """Returns the slice of a time; one that nobody keeps for a time that is too long ago."""
        index = slice_of(min(at, now))
        if index <= slice_of(now) - SLICES:
            return Slice()
        return self._slices.setdefault(index, Slice())

    def forget(self, now: float) -> None:
        for index in [index for index in self._slices if index <= slice_of(now) - SLICES]:
            del self._slices[index]

    def last(self, count: int, now: float) -> Iterator[Slice]:
        """Returns the last so many that are over."""
        return (
            found
            for index in range(slice_of(now) - count, slice_of(now))
            if (found := self._slices.get(index))
        )

    def all(self, now: float) -> Iterator[Slice]:
        """Returns those of the last ten minutes, oldest first, empty ones too, without the one that is not
        over."""
        return (self._slices.get(index) or Slice() for index in range(slice_of(now) - SLICES, slice_of(now)))


class RecentCounts:
    """Counts how often each name came in the last ten minutes."""

    def __init__(self) -> None:
        self._slices: dict[int, Counter[str]] = {}
        self.total: Counter[str] = Counter()

    def add(self, name: str, at: float, now: float) -> None:
        index = slice_of(min(at, now))
        if index > slice_of(now) - SLICES:
            self._slices.setdefault(index, Counter())[name] += 1
            self.total[name] += 1

    def per_s(self, slices: int, now: float) -> float:
        """Returns how many a second came of all names, over the last so many slices that are over."""
        last = range(slice_of(now) - slices, slice_of(now))
        return sum(self._slices[index].total() for index in last if index in self._slices) / (
            slices * SLICE_S
        )

    def forget(self, now: float) -> None:
        for index in [index for index in self._slices if index <= slice_of(now) - SLICES]:
            self.total -= self._slices.pop(index)


def quantiles_of(slices: Iterable[Slice]) -> tuple[float | None, float | None]:
    """Returns p50 and p99 of all of them together, in seconds."""
    return _p50_and_p99(seconds for each in slices for seconds in each.seconds)


def _p50_and_p99(seconds: Iterable[float]) -> tuple[float | None, float | None]:
    ordered = sorted(seconds)
    return (
        (ordered[round(0.5 * (len(ordered) - 1))], ordered[round(0.99 * (len(ordered) - 1))])
        if ordered
        else (None, None)
    )
