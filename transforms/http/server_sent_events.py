"""Server-sent events out of the bytes of a connection, by the rules of the HTML standard (9.2.6)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a CR at the end of what has come may be half of CR LF
_SHOWN = 1_000  # bytes of what is too large
MESSAGE = "message"


class ServerSentEvent(NamedTuple):
    id: str  # the last that was said; empty before there was one
    data: bytes
    too_large: bool = False  # `data` is its beginning
    kind: str = MESSAGE


def server_sent_events(chunks: Iterable[bytes], largest: int) -> Iterator[ServerSentEvent]:
    """Yields each event that has data, of at most `largest` bytes. What a connection breaks off in the middle
    of is none."""
    last_id, kind, size = "", "", 0
    data: list[bytes] = []
    for line in _lines(chunks, largest):
        if not line:
            if data:
                joined = b"\n".join(data)
                too_large = size > largest
                yield ServerSentEvent(
                    last_id, joined[:_SHOWN] if too_large else joined, too_large, kind or MESSAGE
                )
            data, kind, size = [], "", 0
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            size += len(value) + bool(data)
            if size <= largest or not data:
                data.append(value)
        elif name == b"event":
            kind = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")


def _lines(chunks: Iterable[bytes], largest: int) -> Iterator[bytes]:
    """Yields lines without their ends; of one that is longer than that, the beginning and as much more as
    came with it."""
    rest, dropping, begun = b"", False, False
    for chunk in chunks:
        *lines, rest = _LINE_END.split(rest + chunk)
        for line in lines:
            if not dropping:
                # a byte order mark, once, says nothing
                yield line if begun else line.removeprefix(b"\xef\xbb\xbf")
            dropping, begun = False, True
        if len(rest) > largest + _SHOWN:
            if not dropping:
                yield rest
            rest, dropping = b"", True
