"""What a worker process knows of the requests that it has with Lift Wing, shared by all its DoFns."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from transforms.asking import Pending
from transforms.keys_in_state import key_of
from transforms.lanes import Answer
from transforms.lift_wing import LiftWing


@dataclass(slots=True)
class Waiting:
    """What a process knows of one key while any of its requests is with Lift Wing."""

    pending: dict[str, Pending] = field(default_factory=dict)  # by name, what has not ended
    known: set[str] = field(default_factory=set)  # names of what was asked for, ended or not
    called: set[str] = field(default_factory=set)  # names of what is with Lift Wing
    changed: bool = False  # the state says something else

    def add(self, pending: Iterable[Pending]) -> int:
        """Takes what it does not know yet; gives how many it knew."""
        repeated = 0
        for each in pending:
            name = name_of(each)
            if name in self.known:
                repeated += 1
            else:
                self.known.add(name)
                self.pending[name] = each
        self.changed |= repeated > 0
        return repeated

    def end(self, name: str) -> None:
        del self.pending[name]
        self.changed = True


def name_of(pending: Pending) -> str:
    return f"{key_of(pending.request.event.raw)}/{pending.request.model}"


class Desk:
    """What the DoFns of a process share, so that any of them can take home any answer."""

    def __init__(self, process: str) -> None:
        self.process = process
        self.answered: queue.SimpleQueue[tuple[str, Pending, Answer]] = queue.SimpleQueue()
        self.waiting: dict[str, Waiting] = {}


_DESKS: WeakKeyDictionary[LiftWing, Desk] = WeakKeyDictionary()


def desk_of(lift_wing: LiftWing, new_id: Callable[[], str]) -> Desk:
    """The desk of those that share a connection to Lift Wing."""
    desk = _DESKS.get(lift_wing)
    return desk or _DESKS.setdefault(lift_wing, Desk(new_id()))
