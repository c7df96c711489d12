"""At most so many calls a second, over all endpoints of a worker process. Times are seconds of a monotonic
clock."""

from __future__ import annotations

_CAUGHT_UP_S = 0.1  # what was not called in that time may be called at once


class RateLimiter:
    """Permits `per_s` calls a second; None: any number."""

    def __init__(self, per_s: float | None) -> None:
        self._per_s = per_s
        self._next_call = 0.0

    def try_acquire(self, now: float) -> float:
        """Takes a call and returns 0; or takes none and returns after how many seconds there may be one."""
        if self._per_s is None:
            return 0.0
        if now < self._next_call:
            return self._next_call - now
        self._next_call = max(self._next_call, now - _CAUGHT_UP_S) + 1 / self._per_s
        return 0.0
