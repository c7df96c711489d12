"""What a file is, told by its first bytes and not by its name, and what is in it once it is decompressed.

Hive, Gobblin and Spark's codecs name files as they like: `000000_0`, `part-00000-…-c000`,
`part.task_0.txt.gz`, `part-00000.json.snappy`.
"""

from __future__ import annotations

import io
import re
from pathlib import PurePath
from typing import BinaryIO, cast

from transforms.datasets.decompression import decompressed
from transforms.datasets.filesystem import name_of

PARQUET, AVRO, JSON = "Parquet", "Avro", "JSON lines"
BOM = b"\xef\xbb\xbf"
_BY_ENDING = {
    ".parquet": PARQUET,
    ".parq": PARQUET,
    ".avro": AVRO,
    ".json": JSON,
    ".jsonl": JSON,
    ".ndjson": JSON,
}
_EVENT_BEGINS = re.compile(rb'^\s*\[|^[ \t]*\{\s*"', re.MULTILINE)
_LOOKED_AT = 65_536  # bytes
_MOST_LAYERS = 3  # of compression, one in the other


class UnknownContentError(ValueError):
    """The file is of no format that is read; the message says with what it begins."""


def format_by_name(path: str) -> str | None:
    """Returns the format that a name says (`part-0.json.zst`), or None."""
    return next(
        (_BY_ENDING[suffix] for suffix in reversed(PurePath(name_of(path)).suffixes) if suffix in _BY_ENDING),
        None,
    )


def opened(file: BinaryIO, path: str) -> tuple[str, BinaryIO]:
    """Returns the format of a file and its content, decompressed and from the beginning. Where the content
    does not tell the format, the name does.

    Raises UnknownContentError, and what reading and decompressing raise.
    """
    content, layers = file, 0
    while (found := _format(head := _head(content))) is None and layers < _MOST_LAYERS:
        if (inner := decompressed(content, head, path)) is None:
            break
        content, layers = inner, layers + 1
    if not head and not layers:
        raise ValueError("the file is empty")
    if found is None:
        found = PARQUET if _ends_as_parquet(content) else format_by_name(path)
    if found is None or (found == JSON and b"\0" in head):
        raise UnknownContentError(f"not Parquet, Avro or JSON lines; begins with {head[:12]!r}")
    return found, content if found == JSON or content.seekable() else io.BytesIO(content.read())


def _format(head: bytes) -> str | None:
    if head.startswith((b"PAR1", b"PARE")):
        return PARQUET
    if head.startswith(b"Obj\x01"):
        return AVRO
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" in head:
        raise UnknownContentError("text in UTF-16; expected UTF-8")
    return JSON if b"\0" not in head and _EVENT_BEGINS.search(head.removeprefix(BOM)) else None


def _head(content: BinaryIO) -> bytes:
    if not content.seekable():
        return cast(io.BufferedReader, content).peek(_LOOKED_AT)[:_LOOKED_AT]
    head = content.read(_LOOKED_AT)
    content.seek(0)
    return head


def _ends_as_parquet(content: BinaryIO) -> bool:
    if not content.seekable():
        return False
    size = content.seek(0, io.SEEK_END)
    content.seek(max(0, size - 4))
    tail = content.read(4)
    content.seek(0)
    return tail == b"PAR1"
