"""What a stack trace says, in one line."""

from __future__ import annotations

import re

from pipeline.console.command_log import printable

_PYTHON = "Traceback (most recent call last):"
_DEAD_WORKER = (
    "Multiplexer (hanging up|shutdown)|CANCELLED: (client|call already) cancelled|cancelled before "
    "receiving half close|Channel shutdownNow|SDK harness .* disconnected"
)
_LOST_TASK_MANAGER = (
    "TaskManager with id .* (no longer reachable|timed out)|unexpectedly closed by remote "
    "task manager|The TaskExecutor is shutting down"
)
_MEANINGS = {
    re.compile(_DEAD_WORKER): "a Python worker process died",
    re.compile(
        "minimum required resources|Slot request bulk is not fulfillable"
    ): "no TaskManager has a free slot",
    re.compile(_LOST_TASK_MANAGER): "a TaskManager is gone",
}
_OF_BEAM = re.compile(r" \[while running '.*$")
_CLASS = re.compile(r"(?:[\w$]+\.)+[\w$]+$")


def root_cause(trace: str) -> str:
    """Returns the innermost error of a trace in one line, and before it what that is known to mean."""
    said = _last_words(trace)
    meant = next((meaning for pattern, meaning in _MEANINGS.items() if pattern.search(said)), "")
    return f"{meant} ({said})" if meant else said


def _last_words(trace: str) -> str:
    """Returns the last line of the innermost error in a trace of Java, of Python, or of Python within Java,
    without the names of Java's classes."""
    lines = [line for line in trace.splitlines() if line.strip()] or ["?"]
    causes = [index for index, line in enumerate(lines) if line.startswith("Caused by: ")]
    inner = lines[causes[-1] if causes else 0 :]
    of_python = [index for index, line in enumerate(inner) if _PYTHON in line]
    if of_python:
        inner = inner[of_python[-1] + 1 :]
        said = next((line for line in inner if not line.startswith((" ", "\t"))), inner[-1] if inner else "?")
        return printable(_OF_BEAM.sub("", said))
    name, colon, message = inner[0].removeprefix("Caused by: ").partition(": ")
    return printable(
        message if colon and message and _CLASS.match(name) else inner[0].removeprefix("Caused by: ")
    )
