"""The blocks of an Avro file, one after the other; after one that is damaged the next is found by the file's
sync marker."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import fastavro
from fastavro.read import LOGICAL_READERS

_SYNC = 16  # bytes of the marker after each block, which the header ends with
_SCANNED = 1 << 20  # bytes
_MOST_RECORDS = 10_000_000  # in a block, which is of some 64 kB


def blocks(file: BinaryIO) -> Iterator[list[Any] | Exception]:
    """Yields the records of each block, and what reading it raised where it is damaged, after the records
    before that place.

    Raises what reading the header raises, and ValueError when the items are not records.
    """
    reader = fastavro.block_reader(file, handle_unicode_errors="surrogateescape")
    _check_items(reader.writer_schema)
    at = file.tell()
    file.seek(0)
    header = file.read(at)
    while True:
        try:
            block = next(reader)
        except StopIteration:
            if file.seek(0, io.SEEK_END) > at:
                yield EOFError(f"block at byte {at}: the file ends in it")
            return
        except Exception as error:  # whatever the codec makes of it
            yield ValueError(f"block at byte {at}: {error or type(error).__name__}")
            found = _after_sync(file, at, header[-_SYNC:])
            if found is None:
                return
            at = found
            reader = fastavro.block_reader(_Joined(header, file), handle_unicode_errors="surrogateescape")
        else:
            yield from _records(block, at)
            at = file.tell()


def _records(block: Any, at: int) -> Iterator[list[Any] | Exception]:
    records: list[Any] = []
    try:
        if block.num_records > _MOST_RECORDS:
            raise ValueError(f"{block.num_records} records")
        records.extend(block)
    except Exception as error:  # a record has no end but by its values
        yield records
        yield ValueError(
            f"block at byte {at}: cannot be read after {len(records)} of its {block.num_records} records: "
            f"{error or type(error).__name__}"
        )
    else:
        yield records


def _check_items(schema: Any) -> None:
    kinds = schema if isinstance(schema, list) else [schema]
    if not any(isinstance(kind, dict) and kind.get("type") in ("record", "error") for kind in kinds):
        raise ValueError(f"expected records, got items of {str(schema)[:100]}")


def _after_sync(file: BinaryIO, at: int, sync: bytes) -> int | None:
    """Seeks to the place after the next marker, and returns it; None when there is no block after it."""
    file.seek(at)
    data, start = b"", at
    while more := file.read(_SCANNED):
        data += more
        if (found := data.find(sync)) >= 0:
            at = start + found + _SYNC
            file.seek(at)
            return at if file.read(1) and file.seek(at) == at else None
        start += len(data) - min(len(data), _SYNC - 1)
        data = data[-(_SYNC - 1) :]
    return None


class _Joined:
    """The header, and after it the rest of the file."""

    def __init__(self, header: bytes, file: BinaryIO) -> None:
        self._header, self._file = io.BytesIO(header), file

    def read(self, size: int = -1) -> bytes:
        return self._header.read(size) or self._file.read(size)

    def tell(self) -> int:
        return self._file.tell()


def _time(units_a_second: int) -> Any:
    def read(value: int, *schemas: Any) -> str:
        seconds, rest = divmod(value, units_a_second)
        try:
            time = (
                datetime(1970, 1, 1)
                + timedelta(seconds=seconds, microseconds=rest * 1_000_000 // units_a_second)
            ).isoformat()
        except OverflowError:  # a time that Python has not is no reason to lose the block
            return str(value)
        return f"{time.rstrip('0') if '.' in time else time}Z"

    return read


# fastavro asks these, and what they raise ends the block.
LOGICAL_READERS.update(
    {
        f"long-{local}timestamp-{unit}": _time(units)
        for local in ("", "local-")
        for unit, units in (("millis", 10**3), ("micros", 10**6), ("nanos", 10**9))
    }
    | {"int-date": lambda value, *schemas: _time(1)(value * 86_400)}
    | {name: lambda value, *schemas: value for name in ("string-uuid", "int-time-millis", "long-time-micros")}
)
