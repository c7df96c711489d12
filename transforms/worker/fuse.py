"""A fuse: a circuit breaker that counts a step's elements, and blows when so many of them meet an exception
that the fault is not theirs."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

_MOST_IN_A_ROW = 20  # different elements
_MOST_OF_A_MINUTE = 0.05  # share of the elements
_LEAST_OF_A_MINUTE = 20  # below so many failures a share says nothing
_MINUTE_S, _SLICE_S = 60.0, 1.0
_NO_FAULT_OF_AN_ELEMENT = (MemoryError, OSError)  # the machine's, its disk's, its network's


class FuseBlownError(RuntimeError):
    """So many elements met an unforeseen exception at one step that the fault is not theirs."""


def blown_fuse_in(error: BaseException) -> str | None:
    """Returns the message of the FuseBlownError that ended a run, which a runner passes on as text of an
    exception of its own; None when something else ended it."""
    found = re.search(
        rf"{FuseBlownError.__name__}: (.+?)( \[while running .*)?$",
        f"{type(error).__name__}: {error}",
        re.MULTILINE,
    )
    return found[1] if found else None


def is_of_an_element(error: BaseException) -> bool:
    """Returns whether an exception may be one element's failure; what the process or the machine meets is of
    no element."""
    return isinstance(error, Exception) and not isinstance(error, (*_NO_FAULT_OF_AN_ELEMENT, FuseBlownError))


@dataclass(slots=True)
class _Slice:
    """How many elements passed within a second."""

    since: float  # seconds, by the clock of the fuse
    count: int = 0


class Fuse:
    """Counts the elements that end at one step: those that pass, and those that meet an unforeseen exception.

    It blows after 20 different elements in a row, or when the different ones of a minute are at least 20 and
    more than 5 % of its elements. It is whole again when an element passes. Of one thread.
    """

    def __init__(self, step: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`step`: its name in messages; `clock`: seconds."""
        self.step = step
        self.blown = ""  # why, while it is
        self._clock = clock
        self._in_a_row: set[bytes] = set()
        self._failed: dict[bytes, float] = {}  # of the latest minute, when; oldest first
        self._passed: deque[_Slice] = deque()  # oldest first
        self._slice_ends = float("-inf")

    def record_success(self) -> None:
        """Notes that an element passed, which makes the fuse whole."""
        now = self._clock()
        if now >= self._slice_ends:
            self._passed.append(_Slice(now))
            self._slice_ends = now + _SLICE_S
            self._forget(now)
        self._passed[-1].count += 1
        if self._in_a_row:
            self._in_a_row.clear()
        if self.blown:
            self.blown = ""
            self._failed.clear()

    def record_error(self, name: str | bytes, error: BaseException) -> bool:
        """Notes that the element with this `name`, or text, met `error`, and returns whether it may end as a
        failure: not while the fuse is blown, nor by an error that is of no element."""
        if self.blown or not is_of_an_element(error):
            return False
        now = self._clock()
        self._forget(now)
        key = blake2b(
            name if isinstance(name, bytes) else name.encode("utf-8", "replace"), digest_size=8
        ).digest()
        in_a_row, failed = {*self._in_a_row, key}, {*self._failed, key}
        passed = sum(each.count for each in self._passed)
        if len(in_a_row) > _MOST_IN_A_ROW:
            self.blown = f"{_MOST_IN_A_ROW} different elements in a row"
        elif len(failed) > _LEAST_OF_A_MINUTE and len(failed) > _MOST_OF_A_MINUTE * (len(failed) + passed):
            self.blown = (
                f"{len(self._failed)} different elements of the {len(self._failed) + passed} of a minute"
            )
        else:
            self._in_a_row.add(key)
            self._failed.pop(key, None)
            self._failed[key] = now
        return not self.blown

    def _forget(self, now: float) -> None:
        """Drops what is older than a minute."""
        while self._passed and self._passed[0].since < now - _MINUTE_S:
            self._passed.popleft()
        for key, at in list(self._failed.items()):
            if at >= now - _MINUTE_S:
                break
            del self._failed[key]
