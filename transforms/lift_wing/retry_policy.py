"""Whether and when a request is tried again, by what its last call ended with."""

from __future__ import annotations

from collections.abc import Callable

from transforms.lift_wing.responses import CallNotPermitted, LiftWingError, Refused, Rejected

MOST_STRIKES = 3  # answers that speak against a request itself, until it is given up; an outage is none
LONGEST_REFUSED_S = 24 * 3600.0  # that a request waits for an endpoint that refuses whoever asks
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 60.0


def seconds_to_next_try(
    error: LiftWingError, tries: int, age_s: float, max_age_s: float, uniform: Callable[[float, float], float]
) -> float | None:
    """Returns how long to leave a request alone that has been tried so often, in seconds; None: there is no
    other try.

    The last try comes at the end of the age, however long the wait would be. `uniform` gives the jitter.
    """
    if isinstance(error, CallNotPermitted):
        return 0.0 if age_s < max_age_s else None
    if isinstance(error, Rejected):
        return None
    left_s = (max(max_age_s, LONGEST_REFUSED_S) if isinstance(error, Refused) else max_age_s) - age_s
    backoff = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(tries - 1, 10)) * uniform(0.5, 1.0)
    return min(left_s, max(backoff, error.retry_after_s)) if left_s > 0 else None
