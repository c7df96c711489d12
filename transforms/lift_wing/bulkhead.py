"""The calls of one endpoint: which go out next, alone or several in one HTTP call, and how many may be
out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from transforms.elements import Score, ScoreRequest
from transforms.lift_wing.concurrency_limit import ConcurrencyLimit
from transforms.lift_wing.responses import CallNotPermitted
from transforms.lift_wing.waitlist import Throughput, Waitlist
from transforms.models.adapters import ModelAdapter
from transforms.models.model import Endpoint
from transforms.models.wikis import Wikis, shipped_wikis


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended."""

    result: Score | Exception  # a LiftWingError, or any other exception: a fault of this code
    seconds: float

    @property
    def was_called(self) -> bool:
        """Whether the result is of a call, and not of one that was not permitted."""
        return not isinstance(self.result, CallNotPermitted)


@dataclass(eq=False, slots=True)
class Call:
    """One request to one endpoint."""

    endpoint: Endpoint
    request: ScoreRequest
    done: Callable[[CallResult], None]  # called on the loop's thread
    late: bool = False  # it has waited for room
    alone: bool = False  # it shares no HTTP call with others any more, as one that it shared failed


@dataclass(eq=False, slots=True)
class Bulkhead:
    """The calls of one endpoint."""

    endpoint: Endpoint
    url: str
    headers: list[str]
    kind: ModelAdapter
    limit: ConcurrencyLimit
    wikis: Wikis = field(default_factory=shipped_wikis)
    new: deque[Call] = field(default_factory=deque)  # in memory, to go out as soon as there is room
    # the same of those that have waited, which get every second place
    late: deque[Call] = field(default_factory=deque)
    in_flight: int = 0
    scheduled: bool = False
    waitlist: Waitlist = field(default_factory=Waitlist)  # requests that found no room and have not come back
    throughput: Throughput = field(default_factory=Throughput)
    last_error: str = "no answer yet"
    _late_is_next: bool = True

    @property
    def queued(self) -> int:
        return len(self.new) + len(self.late)

    @property
    def has_calls(self) -> bool:
        return bool(self.new or self.late)

    def add(self, call: Call) -> None:
        (self.late if call.late else self.new).append(call)

    def next_batch(self) -> list[Call]:
        """Takes and returns what goes out next: one call, or several of one language where the model takes
        them in one HTTP call."""
        queue = self.late if self.late and (self._late_is_next or not self.new) else self.new
        self._late_is_next = queue is self.new
        first = queue.popleft()
        language = (
            None
            if self.kind.max_batch_size == 1 or first.alone or not self.has_calls
            else self.wikis.language_of(first.request.wiki)
        )
        if language is None:
            return [first]
        alike = (
            call
            for call in (*self.late, *self.new)
            if not call.alone and self.wikis.language_of(call.request.wiki) == language
        )
        together = list(islice(alike, self.kind.max_batch_size - 1))
        taken = set(map(id, together))
        self.late, self.new = (
            deque(call for call in queue if id(call) not in taken) for queue in (self.late, self.new)
        )
        return [first, *together]

    def drain(self) -> list[Call]:
        """Takes and returns all that is queued."""
        taken = [*self.late, *self.new]
        self.late.clear()
        self.new.clear()
        return taken

    def requeue_alone(self, calls: list[Call]) -> None:
        """Puts calls first in line again, each to go out alone."""
        for call in calls:
            call.alone = True
        self.late.extendleft(reversed(calls))
