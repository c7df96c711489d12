"""The requests that one DoFn instance has with Lift Wing.

Each instance has a registry of its own: an instance belongs to one subtask of Flink, and what another subtask
took out of it would pass outside of Flink's barriers. Requests of an instance that is gone are asked again by
the one that finds them in state.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from transforms.async_io.pending_request import PendingRequest
from transforms.async_io.state_codec import decode_pending, encode_pending
from transforms.events.source_events import key_of
from transforms.lift_wing.bulkhead import CallResult


@dataclass(slots=True)
class KeyState:
    """The requests of one key while any of them is with Lift Wing."""

    open: dict[str, PendingRequest] = field(default_factory=dict)  # by name, those that have not ended
    seen: set[str] = field(default_factory=set)  # names of all, ended or not
    called: set[str] = field(default_factory=set)  # names of those that are with Lift Wing
    dirty: bool = False  # the key's bag in Flink's state holds something else

    def add(self, pending: Iterable[PendingRequest]) -> int:
        """Adds the requests that are new. Returns how many were not."""
        repeated = 0
        for each in pending:
            name = name_of(each)
            if name in self.seen:
                repeated += 1
            else:
                self.seen.add(name)
                self.open[name] = each
        self.dirty |= repeated > 0
        return repeated

    def load(self, bag: Any) -> int:
        """Adds the requests in the key's bag, by a round trip to Flink. Returns how many it holds more than
        once."""
        return sum(self.add(decode_pending(encoded)) for encoded in bag.read())

    def save(self, bag: Any) -> None:
        """Writes what is open to the key's bag, where that holds something else."""
        if self.dirty:
            bag.clear()
            if self.open:
                bag.add(encode_pending(self.open.values()))
            self.dirty = False

    def end(self, name: str) -> None:
        """Takes a request that has ended out of what is open."""
        del self.open[name]
        self.dirty = True


def name_of(pending: PendingRequest) -> str:
    """Returns what tells a request from all others: its event and its model."""
    return f"{key_of(pending.request.event)}/{pending.request.model}"


class InFlight:
    """The keys that have requests with Lift Wing, and the answers that have come and are not taken yet."""

    def __init__(self) -> None:
        self.keys: dict[str, KeyState] = {}
        self._answered: queue.SimpleQueue[tuple[str, PendingRequest, CallResult]] = queue.SimpleQueue()

    def put(self, key: str, pending: PendingRequest, answer: CallResult) -> None:
        """Leaves an answer for the next bundle. May be called from any thread."""
        self._answered.put((key, pending, answer))

    def take(self) -> Iterator[tuple[KeyState, PendingRequest, CallResult]]:
        """Yields every answer that has come, whatever its key."""
        while True:
            try:
                key, pending, answer = self._answered.get_nowait()
            except queue.Empty:
                return
            yield self.keys[key], pending, answer
