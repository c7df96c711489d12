"""What is in one file, piece by piece: lines of JSON, rows of Parquet, records of Avro, and what of it cannot
be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import pyarrow.parquet as pq

import schemas
from schemas import BadRow
from transforms.datasets.avro_blocks import blocks
from transforms.datasets.decompression import TrailingBytesError
from transforms.datasets.file_contents import AVRO, BOM, JSON, PARQUET, opened
from transforms.datasets.filesystem import open_file

__all__ = ["BadRow", "Unreadable", "pieces"]

_ROWS_AT_ONCE = 1_000
_LONGEST_LINE = 16 << 20  # bytes


class Unreadable(NamedTuple):
    """A part of a file, or all of it, that cannot be read."""

    reason: str
    final: bool = False  # no event is lost, or none that a repaired file would have


Piece: TypeAlias = "bytes | Mapping[str, Any] | BadRow | Unreadable"


def pieces(path: str, fields: frozenset[str] | None = None) -> Iterator[Piece]:
    """Yields what is in the file, and Unreadable for what cannot be read of it; raises nothing. `fields`: of
    an event, which alone are read of Parquet."""
    try:
        with open_file(path) as file:
            yield from pieces_of(file, path, fields)
    except Exception as error:  # of its file system
        yield _unreadable(error)


def pieces_of(file: BinaryIO, path: str, fields: frozenset[str] | None = None) -> Iterator[Piece]:
    """Yields the same of an open file, which need not be one that can be sought in."""
    try:
        found, content = opened(file, path)
        yield from _READERS[found](content, fields)
    # whatever a file system, a codec or a library makes of a file is a problem of the file
    except Exception as error:
        yield _unreadable(error)


def _unreadable(error: Exception, where: str = "") -> Unreadable:
    reason = " ".join(str(error).split()) or type(error).__name__
    return Unreadable(where + reason, final=isinstance(error, TrailingBytesError))


def _lines(content: BinaryIO, fields: frozenset[str] | None) -> Iterator[Piece]:
    first = True
    for line in iter(partial(content.readline, _LONGEST_LINE), b""):
        if first:
            line = line.removeprefix(BOM)
            if whole := _why_no_lines(line):
                yield Unreadable(whole)
                return
        if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = content.readline(_LONGEST_LINE)
            yield Unreadable(f"a line of more than {_LONGEST_LINE} bytes", final=True)
        elif not line.isspace():
            first = False
            yield line.rstrip(b"\r\n")


def _why_no_lines(first: bytes) -> str | None:
    if first.lstrip().startswith(b"[") and (b"{" in first or not first.rstrip().endswith(b"]")):
        return "a JSON array; expected an event a line (jq -c '.[]')"
    return "an event on several lines; expected an event a line (jq -c .)" if first.strip() == b"{" else None


def _rows(content: BinaryIO, fields: frozenset[str] | None) -> Iterator[Piece]:
    # nanoseconds have no times before 1677 and after 2262
    parquet = pq.ParquetFile(content, coerce_int96_timestamp_unit="us")
    wanted = None if fields is None else {schemas.column_name(name) for name in fields}
    columns = None if wanted is None else [name for name in parquet.schema_arrow.names if name in wanted]
    if columns == [] and parquet.metadata.num_rows:
        raise ValueError(f"it has no column of an event, but {', '.join(parquet.schema_arrow.names)[:200]}")
    for group in range(parquet.num_row_groups):
        where, count, rows = (
            f"row group {group + 1} of {parquet.num_row_groups}: ",
            0,
            parquet.metadata.row_group(group).num_rows,
        )
        try:
            for batch in parquet.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=columns):
                count += batch.num_rows
                yield from schemas.events_of_batch(batch)
        except Exception as error:  # the other row groups may be whole
            yield _unreadable(error, where)
        else:
            if count != rows:  # of damaged columns pyarrow gives as many rows as the shortest has
                yield Unreadable(f"{where}{count} rows where {rows} should be")


def _records(content: BinaryIO, fields: frozenset[str] | None) -> Iterator[Piece]:
    for block in blocks(content):
        if isinstance(block, Exception):
            yield _unreadable(block)
            continue
        for record in block:
            yield (
                schemas.event_of_record(record)
                if isinstance(record, Mapping)
                else BadRow(f"expected a record, got {type(record).__name__}", {})
            )


_READERS: Mapping[str, Callable[[BinaryIO, frozenset[str] | None], Iterator[Piece]]] = {
    JSON: _lines,
    PARQUET: _rows,
    AVRO: _records,
}
