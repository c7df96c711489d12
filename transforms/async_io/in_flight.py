"""What one DoFn instance knows of the requests that it has with Lift Wing.

Each instance has a registry of its own: an instance belongs to one subtask of Flink, and what another subtask
took out of it would pass outside of Flink's barriers. What belongs to an instance that is gone is asked again
by the one that finds it in state.
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

    open: dict[str, PendingRequest] = field(default_factory=dict)  # by name, what has not ended
    seen: set[str] = field(default_factory=set)  # names of all requests of the key, ended or not
    called: set[str] = field(default_factory=set)  # names of what is with Lift Wing
    dirty: bool = False  # Flink's state says something else

    def add(self, pending: Iterable[PendingRequest]) -> int:
        """Adds what is new, and returns how many were not."""
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
        """Adds what Flink's state holds, and returns how many requests it holds more than once. A round trip
        to Flink."""
        return sum(self.add(decode_pending(encoded)) for encoded in bag.read())

    def save(self, bag: Any) -> None:
        """Has Flink's state hold what is open, if it says something else."""
        if self.dirty:
            bag.clear()
            if self.open:
                bag.add(encode_pending(self.open.values()))
            self.dirty = False

    def end(self, name: str) -> None:
        del self.open[name]
        self.dirty = True


def name_of(pending: PendingRequest) -> str:
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
