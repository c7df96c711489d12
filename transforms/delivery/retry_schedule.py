"""Decides when the events under a key of state are tried again, by what a worker process knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from transforms.delivery.redelivery import Attempt, Outcome, Redelivery
from transforms.delivery.waiting_counts import waiting_deliveries
from transforms.delivery.write_streams import Writing, streams_of

_LOOKS_PER_S = 20  # at keys that wait, in all: what trying in vain may cost
_SHORTEST_SLEEP_S, _LONGEST_PAUSE_S, _LONGEST_SLEEP_S = 0.25, 10.0, 60.0
_LATE_S = 30.0  # a timer that has not fired so long after it was due is not there any more


class RetrySchedule:
    """The attempts and timers of all keys. Shared by the DoFns of all subtasks of a process, as any of them
    may get the next timer of a key."""

    def __init__(self, writing: Writing) -> None:
        self._environment = writing.environment
        self.redelivery = Redelivery(streams_of(writing), writing.failure_stream, writing.clock)
        self.waiting = waiting_deliveries(writing.environment)
        self.attempts: dict[str, Attempt] = {}  # by key
        self._due: dict[str, float] = {}  # by key, seconds since the epoch: when its timer fires
        self._fruitless: Counter[str] = Counter()  # by key, attempts one after the other that brought nothing

    def has_timer(self, key: str) -> bool:
        """Returns whether a timer of the key is set, as far as this process knows."""
        return self._environment.time() <= self._due.get(key, 0.0) + _LATE_S

    def sleep(self, key: str, waiting: Mapping[str, int]) -> float:
        """Notes and returns when the timer of a key fires, in seconds since the epoch: when a stream may be
        tried, or an attempt looked at; no sooner than all keys in turn may look. `waiting`: how many events
        wait, by stream."""
        self._due[key] = self._environment.time() + self._seconds_to_sleep(key, waiting)
        return self._due[key]

    def end_attempt(self, key: str) -> Outcome:
        """Ends the attempt of a key. Returns what it came to."""
        outcome = self.redelivery.end(self.attempts.pop(key))
        self._fruitless[key] = self._fruitless[key] + 1 if outcome.is_fruitless else 0
        return outcome

    def forget(self, key: str) -> None:
        """Forgets a key under which nothing waits any more."""
        self._due.pop(key, None)
        self._fruitless.pop(key, None)

    def _seconds_to_sleep(self, key: str, waiting: Mapping[str, int]) -> float:
        if key in self.attempts:
            return _SHORTEST_SLEEP_S
        wait = min(map(self.redelivery.seconds_to_wait, waiting))
        if fruitless := self._fruitless[key]:
            wait = max(wait, min(_LONGEST_PAUSE_S, _SHORTEST_SLEEP_S * 2 ** min(fruitless, 10)))
        if wait <= 0:
            return 0.0
        turn = self.waiting.keys() / _LOOKS_PER_S * self._environment.uniform(0.5, 1.5)
        return max(_SHORTEST_SLEEP_S, min(_LONGEST_SLEEP_S, max(wait, turn)))
