"""How many calls an endpoint may have at once: as many as is configured while it answers well, fewer while it
struggles or takes much longer than it used to, one now and then while it is down.

Pure arithmetic on times that the caller gives, in seconds of a monotonic clock. Additive increase,
multiplicative decrease, as TCP does it; and a circuit breaker with a probe.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

_BACKOFF_RATIO = 0.7  # for each round of calls in which one was refused or lost
# for each round of calls while it is slow, down to half of what is configured: slower may be how it is from
# now on
_BACKOFF_RATIO_OF_SLOW = 0.9
_BREAKS_AFTER = 5  # calls in a row without an answer that shows life
_REFUSES_AFTER = 3  # calls in a row that it refused as it would refuse any: a gateway may dislike one title
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_USUAL_CALL_S = 0.5  # until there is an answer


class ConcurrencyLimit:
    """The limit of one endpoint. `most` is what is configured; 0 stops all calls. `uniform` gives the jitter
    of pauses."""

    def __init__(self, most: int, uniform: Callable[[float, float], float]) -> None:
        self.most, self._uniform = most, uniform
        self._limit = float(most)
        # below it the limit grows with each answer, above it with each round of answers
        self._slow_start_threshold = 0.0
        self._shrunk_at = 0.0
        self._consecutive_failures = 0
        self._consecutive_refusals = 0
        self._refused_at = 0.0  # the first time in this row
        self._failing_since: float | None = None  # when the first of them went out
        self._times_opened = 0
        self._open_until: float | None = None  # None: calls go out
        self._half_open = False
        self.has_answered = False  # it showed life once
        self.is_refusing = False  # it refuses whoever asks, and is broken until it does not
        self._pace = _LatencyTrend()

    @property
    def is_broken(self) -> bool:
        """Whether no call goes out but a probe now and then."""
        return self._open_until is not None or self.most == 0

    @property
    def current(self) -> int:
        """Calls at once while the endpoint is not broken."""
        return int(self._limit)

    @property
    def per_second(self) -> float:
        """What the endpoint can take while it is well, by Little's law; a stall does not change that."""
        return self.most / self._pace.quick_s

    def seconds_failing(self, now: float) -> float:
        """For how long there has been no sign of life from a broken endpoint; 0 while it is not broken."""
        return (
            now - self._failing_since
            if self._open_until is not None and self._failing_since is not None
            else 0.0
        )

    def has_room(self, in_flight: int, now: float) -> bool:
        """Whether one more call may go out. Of a broken endpoint that is the probe."""
        if self.most == 0:
            return False
        if self._open_until is not None:
            return not self._half_open and now >= self._open_until
        return in_flight < int(self._limit)

    def seconds_to_probe(self, now: float) -> float:
        """How long a broken endpoint is left alone at least."""
        return max(0.0, (self._open_until or 0.0) - now)

    def started(self, now: float) -> None:
        """A call goes out."""
        self._half_open = self._open_until is not None

    def answered(self, seconds: float, now: float) -> None:
        """An answer that shows life came after so long."""
        self.has_answered, self._consecutive_failures, self._failing_since = True, 0, None
        if now - seconds >= self._refused_at:  # not a call that went out before it refused
            self._consecutive_refusals = 0
        if self._open_until is not None:  # it is back, and begins with one call at a time
            self._slow_start_threshold, self._limit = float(self.most), 1.0
            self._open_until, self._half_open, self._times_opened, self.is_refusing = None, False, 0, False
            return
        if self._pace.observe(seconds):
            if now - seconds >= self._shrunk_at and self._limit > self.most / 2:
                self._shrink(max(self.most / 2, self._limit * _BACKOFF_RATIO_OF_SLOW), now)
        elif self._limit < self.most:
            self._limit = min(
                self.most,
                self._limit + (1.0 if self._limit < self._slow_start_threshold else 1.0 / self._limit),
            )

    def failed(self, started_at: float, now: float, retry_after_s: float = 0.0) -> bool:
        """A call that was started then was refused, or lost. Gives whether this breaks the endpoint, so that
        what waits for it must go elsewhere."""
        if self._open_until is not None:
            if self._half_open and started_at >= self._open_until:
                self._pause(now, retry_after_s)
            return False
        self._consecutive_failures += 1
        self._failing_since = started_at if self._failing_since is None else self._failing_since
        if started_at >= self._shrunk_at:  # one shrink for all calls that were out together
            self._shrink(max(1.0, self._limit * _BACKOFF_RATIO), now)
        if self._consecutive_failures < _BREAKS_AFTER:
            return False
        self._pause(now, retry_after_s)
        return True

    def refused(self, now: float) -> bool:
        """The endpoint refused a call as it would refuse any. Returns whether it is taken to refuse whoever
        asks: after three in a row."""
        self._consecutive_refusals += 1
        if self._consecutive_refusals == 1:
            self._refused_at = now
        if self._consecutive_refusals < _REFUSES_AFTER and not self.is_broken:
            return False
        if self._open_until is None or self._half_open:
            self._pause(now, 0.0)
        self.is_refusing = True
        self._failing_since = now if self._failing_since is None else self._failing_since
        return True

    def _shrink(self, limit: float, now: float) -> None:
        self._limit = self._slow_start_threshold = limit
        self._shrunk_at = now

    def _pause(self, now: float, retry_after_s: float) -> None:
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._times_opened, 10)) * self._uniform(
            0.75, 1.0
        )
        self._open_until = now + max(pause, retry_after_s)
        self._times_opened += 1
        self._half_open = False


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
        """Takes an answer into both means; returns whether answers are slow with it."""
        self._answers += 1
        self._latest.append(max(seconds, 0.001))
        took = math.log(max(seconds, 0.001))
        self._recent += max(1 / self._answers, self._RECENT) * (took - self._recent)
        self._usual += max(1 / self._answers, self._USUAL) * (took - self._usual)
        return self._answers > self._AFTER and self._recent - self._usual > math.log(2)
