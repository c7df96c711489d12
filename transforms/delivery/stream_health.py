"""A circuit breaker of a stream: decides whether it takes events, by what became of those that were sent to
it. Pure arithmetic.

A stream that has failed is tried by one event now and then. Once it acknowledges again it is on trial: what
waits for it is sent, and when it has acknowledged promptly for the length of the trial, it is healthy. A
stream that fails again soon after gets a longer trial each time.
"""

from __future__ import annotations

PROMPT_S = 0.5  # an acknowledgement that takes longer would hold up the other streams of a bundle
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 10.0  # between two tries
_SHORTEST_TRIAL_S, _LONGEST_TRIAL_S = 2.0, 300.0
_STEADY_S = 600.0  # a stream that was healthy for so long starts with the shortest trial again


class StreamHealth:
    """The health of one stream. Times are seconds of a monotonic clock. `reason` is what the stream said
    last, in place of an acknowledgement."""

    def __init__(self) -> None:
        self.reason = ""
        self.failing_since: float | None = None
        self.acknowledged_at = float("-inf")
        self._prompt_since: float | None = None  # while on trial
        self._acknowledges = True
        self._next_try_at = 0.0
        self._pause_s = _SHORTEST_PAUSE_S
        self._trial_s = _SHORTEST_TRIAL_S

    @property
    def is_new(self) -> bool:
        """Whether no event was acknowledged or refused yet."""
        return self.failing_since is None and self.acknowledged_at == float("-inf")

    def is_failing(self, now: float) -> bool:
        """Returns whether the stream has failed and has not stood its trial yet."""
        return self.failing_since is not None and (
            self._prompt_since is None or now - self._prompt_since < self._trial_s
        )

    def seconds_to_next_try(self, now: float) -> float:
        """Returns how many seconds to send nothing at all; 0: it may be tried now."""
        return 0.0 if self._acknowledges else max(0.0, self._next_try_at - now)

    @property
    def acknowledges(self) -> bool:
        """Whether the last that was sent was acknowledged; if not, one event is enough for a try."""
        return self._acknowledges

    def on_try(self, now: float) -> None:
        """Notes that an event is sent to a stream that failed, so that no other is for a while."""
        if not self._acknowledges:
            self._next_try_at = now + self._pause_s

    def on_acknowledged(self, now: float, took_s: float) -> None:
        """Notes that the stream took an event, so many seconds after it was sent."""
        self.acknowledged_at, self._acknowledges, self._pause_s = now, True, _SHORTEST_PAUSE_S
        if took_s > PROMPT_S:
            self._prompt_since = None
        elif self._prompt_since is None:
            self._prompt_since = now

    def on_failure(self, now: float, reason: str) -> None:
        """Notes that the stream took nothing."""
        if not self.is_failing(now):
            self._trial_s = self._next_trial_s(now)
            self.failing_since = now
        self.reason, self._acknowledges, self._prompt_since = reason, False, None
        self._next_try_at = now + self._pause_s
        self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s)

    def _next_trial_s(self, now: float) -> float:
        if (
            self.failing_since is None
            or self._prompt_since is None
            or now - (self._prompt_since + self._trial_s) > _STEADY_S
        ):
            return _SHORTEST_TRIAL_S
        return min(_LONGEST_TRIAL_S, 2 * self._trial_s)
