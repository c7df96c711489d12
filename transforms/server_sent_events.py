"""Server-sent events out of the bytes of a connection, by the rules of the HTML standard (9.2.6)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a CR at the end of what has come may be half of CR LF
_SHOWN = 1_000  # bytes of what is too large


class ServerSentEvent(NamedTuple):
    id: str  # the last that was said; empty before there was one
    data: bytes
    too_large: bool = False  # `data` is its beginning


def server_sent_events(chunks: Iterable[bytes], largest: int) -> Iterator[ServerSentEvent]:
    """Each event that has data, of at most `largest` bytes. What a connection breaks off in the middle of is none."""
    last_id, size = "", 0
    data: list[bytes] = []
    for line in _lines(chunks, largest):
        if not line:
            if data:
                joined = b"\n".join(data)
                yield ServerSentEvent(last_id, joined[:_SHOWN], True) if size > largest else ServerSentEvent(last_id, joined)
            data, size = [], 0
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            size += len(value)
            data = [*data, value] if size <= largest else data or [value]
        elif name == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")


def _lines(chunks: Iterable[bytes], largest: int) -> Iterator[bytes]:
    """Lines without their ends; of one that is longer than that, the beginning and as much more as came with it."""
    rest, dropping = b"", False
    for chunk in chunks:
        *lines, rest = _LINE_END.split(rest + chunk)
        for line in lines:
            if not dropping:
                yield line
            dropping = False
        if len(rest) > largest + _SHOWN:
            if not dropping:
                yield rest
            rest, dropping = b"", True
