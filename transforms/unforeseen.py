"""What a step does when one element meets an exception that nobody foresaw.

The exception is the failure of that element and of no other: the step goes on. But a fault of our own code
meets every element, and must not turn a backlog into failures. So each step has a fuse, a circuit breaker
that counts: it blows when the unforeseen exceptions are too many, and from then on no element becomes a
failure. A step that is fed for ever then holds its place, tries the same element again until it passes, and
says so. A step of a bounded run raises FuseBlownError, which ends the run.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from traceback import walk_tb
from typing import Generic, TypeVar

from apache_beam.metrics import Metrics

Element = TypeVar("Element")
Output = TypeVar("Output")

_MOST_IN_A_ROW = 20  # different elements
_MOST_OF_A_MINUTE = 0.05  # share of the elements
_LEAST_OF_A_MINUTE = 20  # below so many failures a share says nothing
_MINUTE_S, _SLICE_S = 60.0, 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_SAY_AGAIN_S = 60.0
_LONGEST_REASON = 500  # characters
_MOST_TOLD = 100
_NO_FAULT_OF_AN_ELEMENT = (MemoryError, OSError)  # the machine's, its disk's, its network's
_LOGGER = logging.getLogger(__name__)


class FuseBlownError(RuntimeError):
    """So many elements met an unforeseen exception at one step that the fault is not theirs."""


def blown_fuse_in(error: BaseException) -> str | None:
    """What the FuseBlownError says that ended a run: a runner tells a step's exception as text of its own.
    None when something else ended it."""
    found = re.search(
        rf"{FuseBlownError.__name__}: (.+?)( \[while running .*)?$",
        f"{type(error).__name__}: {error}",
        re.MULTILINE,
    )
    return found[1] if found else None


def is_of_an_element(error: BaseException) -> bool:
    """Whether an exception may be one element's failure; what the process or the machine meets is of no
    element."""
    return isinstance(error, Exception) and not isinstance(error, (*_NO_FAULT_OF_AN_ELEMENT, FuseBlownError))


def reason_of(error: BaseException) -> str:
    """Type and text of an exception in one line of at most 500 characters without control characters; never
    raises."""
    try:
        text = str(error)
    except Exception:  # an exception whose text cannot be made
        text = ""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST_REASON])
    return f"unforeseen {type(error).__name__}: {plain}"[:_LONGEST_REASON].rstrip(" :")


@dataclass(slots=True)
class _Slice:
    """Elements that passed within some seconds."""

    since: float
    count: int = 0


class Fuse:
    """Counts the elements that end at one step: those that pass, and those that meet an unforeseen exception.

    It blows after 20 different elements in a row, or when the different ones of a minute are at least 20 and
    more than 5 % of its elements. It is whole again when an element passes. Of one thread.
    """

    def __init__(self, step: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`step` names it in messages; `clock` tells seconds."""
        self.step = step
        self.blown = ""  # why, while it is
        self._clock = clock
        self._in_a_row: set[bytes] = set()
        self._failed: dict[bytes, float] = {}  # of the latest minute, when; oldest first
        self._passed: deque[_Slice] = deque()  # oldest first
        self._slice_ends = float("-inf")

    def passed(self) -> None:
        """Notes that an element came through the step."""
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

    def admits(self, name: str | bytes, error: BaseException) -> bool:
        """Notes that the element with this `name`, or text, met `error`. Whether it may end as a failure; if
        not, the fuse is blown."""
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
        """What is older than a minute."""
        while self._passed and self._passed[0].since < now - _MINUTE_S:
            self._passed.popleft()
        for key, at in list(self._failed.items()):
            if at >= now - _MINUTE_S:
                break
            del self._failed[key]


class Fused(Generic[Element, Output]):
    """Runs one step's work on each element, with a fuse, and counts `unforeseen` in the step's namespace."""

    def __init__(
        self,
        step: str,
        work: Callable[[Element], Iterable[Output]],
        name: Callable[[Element], str | bytes],
        failed: Callable[[Element, str], Iterable[Output]],
        *,
        holds: bool,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`work` gives what comes of an element, `failed` what comes of it in place of that for a reason;
        `name` tells elements apart. `holds`: whether a blown fuse waits for ever, as a stream does, or raises
        FuseBlownError."""
        self._work, self._name, self._failed = work, name, failed
        self._fuse, self._holds, self._clock, self._sleep = Fuse(step, clock), holds, clock, sleep
        self.unforeseen = Metrics.counter(step, "unforeseen")
        # kinds of exceptions, and where they were raised, whose traceback is logged
        self._told: set[tuple[type, str, int]] = set()

    def outputs(self, element: Element) -> list[Output]:
        """Returns all that comes of an element; when its work raises, nothing of that but its failure.

        Raises FuseBlownError, and whatever is no element's fault.
        """
        pause, say_at = _FIRST_PAUSE_S, 0.0
        while True:
            try:
                found = list(self._work(element))
            except Exception as error:
                if not is_of_an_element(error):
                    raise
                if self._fuse.admits(self._name(element), error):
                    self._tell(error)
                    self.unforeseen.inc()
                    return list(self._failed(element, reason_of(error)))
                say_at = self._say(error, say_at)
            else:
                self._passed()
                return found
            self._sleep(pause)
            pause = min(_LONGEST_PAUSE_S, 2 * pause)

    def _passed(self) -> None:
        if self._fuse.blown:
            _LOGGER.warning("%s goes on", self._fuse.step)
        self._fuse.passed()

    def _tell(self, error: Exception) -> None:
        """Logs the first of a kind with its traceback; the others are in their failures."""
        *_, (frame, line) = walk_tb(error.__traceback__)
        kind = type(error), frame.f_code.co_filename, line
        if kind not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(kind)
            _LOGGER.error(
                "%s: %s; an element that meets this is a failure",
                self._fuse.step,
                reason_of(error),
                exc_info=error,
            )

    def _say(self, error: Exception, at: float) -> float:
        """Says, at once and then each minute, that the step holds its place, and returns when to say it
        again. Raises FuseBlownError in a bounded run."""
        why = (
            f"{self._fuse.step}: unforeseen exceptions at {self._fuse.blown}, which is a fault of this "
            "program and not of them"
        )
        if not self._holds:
            raise FuseBlownError(f"{why}; the last one: {reason_of(error)}") from error
        now = self._clock()
        if now < at:
            return at
        _LOGGER.error(
            "%s; it holds its place and tries the same element again; the last one: %s",
            why,
            reason_of(error),
            exc_info=error,
        )
        return now + _SAY_AGAIN_S
