"""Counts how many requests of an endpoint wait in state, and since when: those that wait longest look for
room most often.

Nothing can wake a key in Flink's state but a timer of its own, so each is told how long to sleep. The longest
waiting sleep an eighth of what the last in line sleep; together they look for room a little more often than
the endpoint can take calls.
"""

from __future__ import annotations

from collections import Counter, deque

_BUCKET_S = 10  # entries of so many seconds count as one
_MARGIN = 1.25  # looks for each call that the endpoint can take
_SHARE_OF_FIRST = 1 / 8  # what the first in line sleeps, of what the last does
_SHORTEST_S = 0.1


class Waitlist:
    """Counts who waits, by the time of entry in seconds since the epoch."""

    def __init__(self) -> None:
        self._by_entry: Counter[int] = Counter()
        self.total = 0

    def add(self, entered_at: float, count: int) -> None:
        self._by_entry[int(entered_at // _BUCKET_S)] += count
        self.total += count

    def remove(self, entered_at: float, count: int) -> None:
        """Takes out what `add` put in with the same time of entry."""
        bucket = int(entered_at // _BUCKET_S)
        self._by_entry[bucket] -= count
        if self._by_entry[bucket] <= 0:
            del self._by_entry[bucket]
        self.total -= count

    def ahead_of(self, entered_at: float) -> int:
        """Returns how many entered before."""
        bucket = int(entered_at // _BUCKET_S)
        return sum(count for entered, count in self._by_entry.items() if entered < bucket)

    def share_behind(self, entered_at: float) -> float:
        """Returns which share of those that wait entered no earlier, from 0 to 1."""
        return 1 - self.ahead_of(entered_at) / self.total if self.total else 1.0

    def sleep_s(self, entered_at: float, per_s: float) -> float:
        """Returns how many seconds a request that entered then sleeps, where `per_s` calls a second are
        expected to find room."""
        in_line = self.ahead_of(entered_at) + self.total * _SHARE_OF_FIRST + 1
        return max(_SHORTEST_S, in_line / (_MARGIN * per_s))


class Throughput:
    """Answers a second in the last minute that had any, so that an endpoint that falls silent keeps the rate
    it had."""

    _BUCKET_S, _BUCKETS = 10, 6

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque(maxlen=self._BUCKETS)  # [start in buckets, answers]

    def count(self, now: float, answers: int) -> None:
        """Counts answers at `now`, in seconds of a monotonic clock."""
        bucket = int(now // self._BUCKET_S)
        if not self._buckets or self._buckets[-1][0] != bucket:
            self._buckets.append([bucket, 0])
        self._buckets[-1][1] += answers

    @property
    def per_s(self) -> float:
        return sum(answers for _, answers in self._buckets) / (self._BUCKET_S * max(1, len(self._buckets)))
