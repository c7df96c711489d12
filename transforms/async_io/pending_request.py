"""A request until its end: whether it may be asked, when again, and whether it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from transforms.elements import Failure, ScoreRequest
from transforms.events.json_text import json_text
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.responses import LiftWingError, Refused, Unexpected
from transforms.lift_wing.retry_policy import MOST_STRIKES, Limits, seconds_to_next_try

_FROZEN_S = 1.0  # not written to state more often


@dataclass(slots=True)
class PendingRequest:
    """A request that has not come to its end. Times are seconds since the epoch.

    It ends with an answer (`record`), or when it finds no room for too long (`send_away`); both say, where
    they are not the end, when it is `due` again. It ages while its endpoint could take calls (`freeze`).
    """

    requests: ClassVar[int] = 1

    request: ScoreRequest
    entered_at: float  # when it came
    asked_at: float  # since when it ages: when it came, or when its endpoint took calls again
    tries: int = 0
    strikes: int = 0
    due: float = 0.0  # not to be asked before
    reason: str = ""  # what the last try gave in place of a score
    unreported_retries: list[str] = field(default_factory=list)  # their causes
    counted: bool = False  # the client counts it among those that wait for room
    late: bool = False  # it has waited for room, or for another try

    def record(self, answer: CallResult, limits: Limits) -> bool:
        """Notes how a call ended. Returns whether that is the end of the request; if not, `due` says when to
        try again."""
        error = answer.result
        if not isinstance(error, LiftWingError):
            self.tries += 1
            return True
        self.tries += answer.was_called
        if answer.was_called or not self.reason:
            self.reason = str(error)
        now = limits.environment.time()
        if isinstance(error, Refused):
            self.tries -= not error.of_one  # it says nothing of this request
            if error.of_all:  # which does not age meanwhile
                self.asked_at = now
            if now >= self.entered_at + limits.max_refused_s:
                return True
        self.strikes += isinstance(error, Unexpected) or (isinstance(error, Refused) and error.of_one)
        if self.strikes >= MOST_STRIKES:
            return True
        wait = seconds_to_next_try(error, self.tries, now - self.asked_at, limits)
        if wait is None:
            return True
        if answer.was_called:
            self.unreported_retries.append(error.cause)
        self.due, self.late = now + wait, True
        return False

    def send_away(self, not_called: CallResult, due: float, patience_s: float | None, limits: Limits) -> bool:
        """Notes that there is no room before `due`. Returns whether the request is too old for that.

        `patience_s`: how long it waits at most while it does not age; None: it ages.
        """
        if patience_s is None:
            is_over = self.record(not_called, limits)
            due = min(due, self.asked_at + limits.max_age_s)
        else:
            is_over = limits.environment.time() >= self.entered_at + patience_s
        if is_over:
            self.reason = self.reason or str(not_called.result)
        self.due, self.late = due, True
        return is_over

    def freeze(self, now: float) -> bool:
        """Has its age count from now on. Returns whether state has to say so."""
        if now - self.asked_at <= _FROZEN_S:
            return False
        self.asked_at = now
        return True


def failure(pending: PendingRequest, *, retryable: bool) -> Failure:
    """Returns the failure of a request, with how often it was tried where that was more than once."""
    reason = f"{pending.reason} ({pending.tries} tries)" if pending.tries > 1 else pending.reason
    event = pending.request.event
    return Failure(
        "ScoreWithLiftWing",
        reason,
        json_text(event.raw),
        event.datacenter,
        pending.request.model,
        event.partition,
        retryable,
    )
