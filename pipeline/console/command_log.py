"""The lines of a command to whoever operates it: as text, or as JSON with the fields of the Elastic Common
Schema.

The same trouble is not told twice a minute, and control characters of what others sent reach no terminal.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

import ecs_logging

LEVELS = ("debug", "info", "warning", "error")
_AGAIN_S = 60.0
_LONGEST = 1_000  # characters of a line


def say(text: str) -> None:
    """Tells what happens as it should, on standard output."""
    _LOGGER.info("%s", text)


def warn(text: str) -> None:
    """Tells trouble, or that it is over, on standard error."""
    _LOGGER.warning("%s", text)


def configure(command: str, form: str, level: str) -> None:
    """Has lines be of `command` from now on, in the `form` text or json, and only those of at least that
    level."""
    for handler in _LOGGER.handlers:
        handler.setFormatter(formatter(form, command))
    _LOGGER.setLevel(level.upper())


def formatter(form: str, command: str = "") -> logging.Formatter:
    """Returns that of a form, text or json. Text is the message alone, and `command` before it where it is
    trouble."""
    if form == "json":
        return ecs_logging.StdlibFormatter(
            exclude_fields=["log.original"],
            extra={"service.name": "revision-scores", "event.dataset": f"revision-scores.{command}"},
        )
    return _Text(command)


def printable(text: str) -> str:
    """Returns a text as one line of at most 1,000 characters, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))[:_LONGEST]


class _Text(logging.Formatter):
    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command

    def format(self, record: logging.LogRecord) -> str:
        return (
            record.getMessage()
            if record.levelno < logging.WARNING
            else f"revision-scores {self._command}: {record.getMessage()}"
        )


class _Printable(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = "%s", (printable(record.getMessage()),)
        return True


class NotTwiceAMinute(logging.Filter):
    """Drops a warning that was told within the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now, text = self._clock(), record.getMessage()
        self._told = {told: at for told, at in self._told.items() if now - at < _AGAIN_S}
        if record.levelno >= logging.WARNING and text in self._told:
            return False
        self._told[text] = now
        return True


class _ToStream(logging.StreamHandler[TextIO]):
    """Writes to standard output or error, as they are when a line comes, lines of at least `least` and below
    `most`."""

    def __init__(self, name: str, least: int, most: int) -> None:
        super().__init__(getattr(sys, name))
        self._stream_name = name
        self.addFilter(lambda record: least <= record.levelno < most)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = getattr(sys, self._stream_name)
        super().emit(record)


def _logger() -> logging.Logger:
    logger = logging.getLogger("revision_scores")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.filters = [_Printable(), NotTwiceAMinute()]
    logger.handlers = [_ToStream("stdout", 0, logging.WARNING), _ToStream("stderr", logging.WARNING, 100)]
    for handler in logger.handlers:
        handler.setFormatter(formatter("text", "stream"))
    return logger


_LOGGER = _logger()
