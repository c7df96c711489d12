"""Makes what a command prints safe to show: texts of others in it (answers, page titles, logs of a broker)
may hold what steers a terminal."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from transforms.events.printable import in_lines


class PlainText:
    """A text stream that writes control characters as \\uXXXX. `steering` writes as it is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(in_lines(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def steering(self) -> TextIO:
        """Returns the stream below, for whoever steers the terminal himself."""
        return self._stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def print_plain_text() -> None:
    """Has this process print nothing from now on that steers a terminal, neither by print() nor in logs or
    tracebacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, PlainText):
            setattr(sys, name, PlainText(stream))


def steering(stream: TextIO) -> TextIO:
    """Returns the stream as it was before."""
    return stream.steering() if isinstance(stream, PlainText) else stream
