"""The calls of one endpoint: what is to go out, alone or several in one HTTP call, and how many may be out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from transforms.call_limit import CallLimit
from transforms.elements import Score, ScoreRequest
from transforms.kinds import Kind
from transforms.models import Endpoint
from transforms.wikis import language_of


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended."""

    result: Score | BaseException  # a LiftWingError, or any other exception: a fault of this code
    seconds: float


@dataclass(eq=False, slots=True)
class Call:
    """One request to one endpoint."""

    endpoint: Endpoint
    request: ScoreRequest
    done: Callable[[Answer], None]  # called on the loop's thread
    alone: bool = False  # it shares no HTTP call with others any more, as one that it shared failed


@dataclass(eq=False, slots=True)
class Lane:
    """The calls of one endpoint."""

    endpoint: Endpoint
    url: str
    headers: list[str]
    kind: Kind
    limit: CallLimit
    queue: deque[Call] = field(default_factory=deque)
    in_flight: int = 0
    listed: bool = False
    waiting: int = 0  # requests that found no room and have not come back
    last_error: str = "no answer yet"

    def take(self) -> list[Call]:
        """What goes out together, of what is to go out: one call, or where the model takes several in one, some of one language."""
        first = self.queue.popleft()
        language = None if self.kind.most_at_once == 1 or first.alone else language_of(first.request.wiki)
        if language is None:
            return [first]
        together = [call for call in self.queue if not call.alone and language_of(call.request.wiki) == language][: self.kind.most_at_once - 1]
        taken = set(map(id, together))
        self.queue = deque(call for call in self.queue if id(call) not in taken)
        return [first, *together]

    def give_back(self, calls: list[Call]) -> None:
        """To go out alone."""
        for call in reversed(calls):
            call.alone = True
            self.queue.appendleft(call)
