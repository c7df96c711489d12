"""At most so many calls a second, over all endpoints of a worker process. Times are seconds of a monotonic clock."""

from __future__ import annotations

_CAUGHT_UP_S = 0.1  # what was not called in that time may be called at once


class CallRate:
    """`per_s` is None where there is no such bound."""

    def __init__(self, per_s: float | None) -> None:
        self._per_s = per_s
        self._next_call = 0.0

    def seconds_to_wait(self, now: float) -> float:
        """How long until there may be a call; 0: there is one now, and it counts."""
        if self._per_s is None:
            return 0.0
        if now < self._next_call:
            return self._next_call - now
        self._next_call = max(self._next_call, now - _CAUGHT_UP_S) + 1 / self._per_s
        return 0.0
