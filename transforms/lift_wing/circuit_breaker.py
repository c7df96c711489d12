"""A circuit breaker: decides when an endpoint gets no calls but a probe now and then.

Pure arithmetic on times that the caller gives, in seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable

_OPENS_AFTER = 5  # calls in a row without an answer that shows life
_REFUSES_AFTER = 3  # calls in a row that it refused as it would refuse any: a gateway may dislike one title
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class CircuitBreaker:
    """CLOSED: calls go out. OPEN: none does. HALF_OPEN: one is out, as a probe. `uniform` gives the jitter of
    pauses."""

    def __init__(self, uniform: Callable[[float, float], float]) -> None:
        self._uniform = uniform
        self._consecutive_failures = 0
        self._consecutive_refusals = 0
        self._refused_at = 0.0  # the first time in this row
        self._failing_since: float | None = None  # when the first of them went out
        self._times_opened = 0
        self._open_until: float | None = None  # None: CLOSED
        self._half_open = False
        self.has_answered = False  # it showed life once
        self.is_refusing = False  # it refuses whoever asks, and is open until it does not

    @property
    def is_open(self) -> bool:
        """Whether no call goes out but a probe."""
        return self._open_until is not None

    def allows_probe(self, now: float) -> bool:
        """Whether the next call may go out while it is open."""
        return self._open_until is not None and not self._half_open and now >= self._open_until

    def seconds_to_probe(self, now: float) -> float:
        """Returns how many seconds the endpoint is left alone at least."""
        return max(0.0, (self._open_until or 0.0) - now)

    def seconds_failing(self, now: float) -> float:
        """Returns for how many seconds there has been no sign of life; 0 while it is not open."""
        return now - self._failing_since if self.is_open and self._failing_since is not None else 0.0

    def on_start(self) -> None:
        """Notes that a call goes out."""
        self._half_open = self.is_open

    def on_success(self, seconds: float, now: float) -> bool:
        """Notes an answer that shows life and came after so long. Returns whether this closes the breaker."""
        self.has_answered, self._consecutive_failures, self._failing_since = True, 0, None
        if now - seconds >= self._refused_at:  # not a call that went out before it refused
            self._consecutive_refusals = 0
        closes = self.is_open
        if closes:
            self._open_until, self._half_open, self._times_opened, self.is_refusing = None, False, 0, False
        return closes

    def on_failure(self, started_at: float, now: float, retry_after_s: float) -> bool:
        """Notes that a call that was started then got no such answer. Returns whether this opens the breaker,
        for `retry_after_s` at least."""
        if self._open_until is not None:
            if self._half_open and started_at >= self._open_until:
                self._pause(now, retry_after_s)
            return False
        self._consecutive_failures += 1
        self._failing_since = started_at if self._failing_since is None else self._failing_since
        if self._consecutive_failures < _OPENS_AFTER:
            return False
        self._pause(now, retry_after_s)
        return True

    def on_refusal(self, now: float) -> bool:
        """Notes that the endpoint refused a call as it would refuse any. Returns whether it is taken to
        refuse whoever asks: after three in a row."""
        self._consecutive_refusals += 1
        if self._consecutive_refusals == 1:
            self._refused_at = now
        if self._consecutive_refusals < _REFUSES_AFTER and not self.is_open:
            return False
        if not self.is_open or self._half_open:
            self._pause(now, 0.0)
        self.is_refusing = True
        self._failing_since = now if self._failing_since is None else self._failing_since
        return True

    def _pause(self, now: float, retry_after_s: float) -> None:
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._times_opened, 10)) * self._uniform(
            0.75, 1.0
        )
        self._open_until = now + max(pause, retry_after_s)
        self._times_opened += 1
        self._half_open = False
