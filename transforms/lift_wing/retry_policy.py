"""Decides whether and when a request is tried again, by the error that its last call ended with."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.lift_wing.responses import CallNotPermitted, LiftWingError, Refused, Rejected
from transforms.worker.environment import Environment

MOST_STRIKES = 3  # answers that speak against a request itself, until it is given up; an outage is none
LONGEST_REFUSED_S = 24 * 3600.0  # how long a request waits for an endpoint that refuses whoever asks
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 60.0


@dataclass(frozen=True)
class Limits:
    """How long requests wait at most, in seconds, and on whose clock."""

    max_age_s: float
    environment: Environment

    @property
    def max_refused_s(self) -> float:
        """While their endpoint refuses everybody."""
        return max(LONGEST_REFUSED_S, self.max_age_s)


def seconds_to_next_try(error: LiftWingError, tries: int, age_s: float, limits: Limits) -> float | None:
    """Returns how long to leave a request alone that has been tried so often, in seconds; None: there is no
    other try.

    The last try comes at the end of the age, however long the wait would be.
    """
    if isinstance(error, CallNotPermitted):
        return 0.0 if age_s < limits.max_age_s else None
    if isinstance(error, Rejected):
        return None
    left_s = (limits.max_refused_s if isinstance(error, Refused) else limits.max_age_s) - age_s
    jitter = limits.environment.uniform(0.5, 1.0)
    backoff = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(tries - 1, 10)) * jitter
    return min(left_s, max(backoff, error.retry_after_s)) if left_s > 0 else None
