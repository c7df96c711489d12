"""How many calls an endpoint may have at once: as many as is configured while it answers well, fewer while it
struggles or takes much longer than it used to, one now and then while it is down.

Pure arithmetic on times that the caller gives, in seconds of a monotonic clock. Additive increase,
multiplicative decrease, as TCP does it, and a circuit breaker.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from transforms.lift_wing.circuit_breaker import CircuitBreaker

_BACKOFF_RATIO = 0.7  # for each round of calls in which one was refused or lost
# for each round of calls while it is slow, down to half of what is configured: slower may be how it is from
# now on
_BACKOFF_RATIO_OF_SLOW = 0.9
_USUAL_CALL_S = 0.5  # until there is an answer


class ConcurrencyLimit:
    """The limit of one endpoint. `most` is what is configured; 0 stops all calls. `uniform` gives the jitter
    of pauses."""

    def __init__(self, most: int, uniform: Callable[[float, float], float]) -> None:
        self.most, self.breaker = most, CircuitBreaker(uniform)
        self._limit = float(most)
        # below it the limit grows with each answer, above it with each round of answers
        self._slow_start_threshold = 0.0
        self._shrunk_at = 0.0
        self._trend = _LatencyTrend()

    @property
    def is_broken(self) -> bool:
        """Whether no call goes out but a probe now and then."""
        return self.breaker.is_open or self.most == 0

    @property
    def current(self) -> int:
        """How many calls at once there may be while the endpoint is not broken."""
        return int(self._limit)

    @property
    def per_second(self) -> float:
        """What the endpoint can take while it is well, by Little's law; a stall does not change that."""
        return self.most / self._trend.quick_s

    def has_room(self, in_flight: int, now: float) -> bool:
        """Returns whether one more call may go out: of a broken endpoint, the probe."""
        if self.most == 0:
            return False
        if self.breaker.is_open:
            return self.breaker.allows_probe(now)
        return in_flight < int(self._limit)

    def on_success(self, seconds: float, now: float) -> None:
        """Notes an answer that shows life and came after so long."""
        if self.breaker.on_success(seconds, now):  # it is back, and begins with one call at a time
            self._slow_start_threshold, self._limit = float(self.most), 1.0
        elif self._trend.observe(seconds):
            if now - seconds >= self._shrunk_at and self._limit > self.most / 2:
                self._shrink(max(self.most / 2, self._limit * _BACKOFF_RATIO_OF_SLOW), now)
        elif self._limit < self.most:
            self._limit = min(
                self.most,
                self._limit + (1.0 if self._limit < self._slow_start_threshold else 1.0 / self._limit),
            )

    def on_failure(self, started_at: float, now: float, retry_after_s: float = 0.0) -> bool:
        """Notes that a call that was started then got no such answer. Returns whether this breaks the
        endpoint, so that what is queued for it must go elsewhere."""
        if not self.breaker.is_open and started_at >= self._shrunk_at:  # once for all that were out together
            self._shrink(max(1.0, self._limit * _BACKOFF_RATIO), now)
        return self.breaker.on_failure(started_at, now, retry_after_s)

    def _shrink(self, limit: float, now: float) -> None:
        self._limit = self._slow_start_threshold = limit
        self._shrunk_at = now


class _LatencyTrend:
    """Tells when answers take twice as long as they used to. It compares means of logarithms, which a few
    slow answers of many do not move; what is slow for long becomes what is usual."""

    _RECENT, _USUAL = 0.05, 0.001  # weight of an answer
    _AFTER = 100  # answers
    _KEPT = 64  # answers

    def __init__(self) -> None:
        self._answers = 0
        self._recent = self._usual = 0.0
        self._latest: deque[float] = deque(maxlen=self._KEPT)  # seconds

    @property
    def quick_s(self) -> float:
        """How long the quickest of the latest calls took, as a stall makes many long; while there are few, no
        longer than is usual for any endpoint."""
        quickest = min(self._latest, default=_USUAL_CALL_S)
        return quickest if len(self._latest) == self._KEPT else min(quickest, _USUAL_CALL_S)

    def observe(self, seconds: float) -> bool:
        """Takes an answer into both means. Returns whether answers are slow with it."""
        self._answers += 1
        self._latest.append(max(seconds, 0.001))
        took = math.log(max(seconds, 0.001))
        self._recent += max(1 / self._answers, self._RECENT) * (took - self._recent)
        self._usual += max(1 / self._answers, self._USUAL) * (took - self._usual)
        return self._answers > self._AFTER and self._recent - self._usual > math.log(2)
