"""What a step does when one element meets an exception that nobody foresaw.

The exception is the failure of that element and of no other: the step goes on. But a fault of our own code
meets every element, and must not turn a backlog into failures. So each step has a fuse: while it is blown no
element becomes a failure. A step that is fed for ever then holds its place, tries the same element again
until it passes, and says so. A step of a bounded run raises FuseBlownError, which ends the run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from traceback import walk_tb
from typing import Generic, TypeVar

from apache_beam.metrics import Metrics

from transforms.worker.fuse import Fuse, FuseBlownError, is_of_an_element

Element = TypeVar("Element")
Output = TypeVar("Output")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_SAY_AGAIN_S = 60.0
_LONGEST_REASON = 500  # characters
_MOST_TOLD = 100
_LOGGER = logging.getLogger(__name__)


def reason_of(error: BaseException) -> str:
    """Returns type and text of an exception in one line of at most 500 characters without control characters.
    Never raises."""
    try:
        text = str(error)
    except Exception:  # an exception whose text cannot be made
        text = ""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST_REASON])
    return f"unforeseen {type(error).__name__}: {plain}"[:_LONGEST_REASON].rstrip(" :")


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
        """`step`: its name, in messages and metrics; `work`: yields the outputs of an element; `name`: tells
        elements apart; `failed`: yields what an element becomes instead, for a reason; `holds`: whether a
        blown fuse waits for ever, as a stream does, or raises FuseBlownError."""
        self._work, self._name, self._failed = work, name, failed
        self._fuse, self._holds, self._clock, self._sleep = Fuse(step, clock), holds, clock, sleep
        self.unforeseen = Metrics.counter(step, "unforeseen")
        # kinds of exceptions, and where they were raised, whose traceback is logged
        self._told: set[tuple[type, str, int]] = set()

    def outputs(self, element: Element) -> list[Output]:
        """Returns the outputs of an element; when its work raises, its failure alone.

        Raises FuseBlownError in a bounded run, and whatever is no element's fault.
        """
        pause, say_at = _FIRST_PAUSE_S, 0.0
        while True:
            try:
                found = list(self._work(element))
            except Exception as error:
                if not is_of_an_element(error):
                    raise
                if self._fuse.record_error(self._name(element), error):
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
        self._fuse.record_success()

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
