"""The files of a table of Iceberg: of which day they are, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table

import schemas
from schemas.hive_layout import datacenter_of

TIME = "dt"  # the column by whose day a table is partitioned
TIME_TYPE = pa.timestamp("us", tz="UTC")
DATACENTER = "datacenter"  # which Hive has by the folder; the rest of that follows from the time
_ROWS_IN_GROUP, _ROWS_IN_FILE = 20_000, 1_000_000
_FILE = re.compile(r".*/data/(datacenter=[^/]+(?:/\w+=\d+){3})/([0-9a-f-]+)-\d+\.parquet")


@dataclass(frozen=True, order=True)
class Day:
    """A day of a datacenter, as it was made of certain files."""

    folder: str  # datacenter=eqiad/year=2024/month=2/day=15
    digest: str  # another text when it is made of something else


def day_of(path: str) -> Day | None:
    """Returns the day of a file by its name; None where it is not of this program."""
    found = _FILE.fullmatch(path)
    return Day(found[1], found[2]) if found else None


def _times(texts: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(texts, pa.string()).cast(TIME_TYPE)
    except pa.ArrowInvalid:
        return pa.array([None if text is None else _time(text) for text in texts], TIME_TYPE)


def _time(text: str) -> datetime:
    """Returns a time of RFC 3339, which has more than Arrow reads: small letters, more than six digits, leap
    seconds. Raises ValueError."""
    usual = re.sub(r"\.(\d+)", lambda found: f".{found[1][:6]:0<6}", text.upper()).replace("Z", "+00:00")
    is_leap = usual[16:19] == ":60"
    time = datetime.fromisoformat(f"{usual[:16]}:59{usual[19:]}" if is_leap else usual)
    return time + timedelta(seconds=is_leap)


@dataclass
class DayFiles:
    """Writes the files of a day of a datacenter: one of each day of `dt`, as a file is of one partition."""

    table: Table
    schema: str
    day: Day
    stack: ExitStack
    paths: list[str] = field(default_factory=list)  # of those that are written

    def __post_init__(self) -> None:
        self._columns = schema_to_pyarrow(self.table.schema())
        # by column; the table may have others, of a newer schema
        self._fields = {schemas.column_name(name): name for name in schemas.load(self.schema)["properties"]}
        self._rows: dict[Any, list[pa.Table]] = {}  # by day of `dt`
        self._open: dict[Any, tuple[pq.ParquetWriter, int]] = {}  # with how many rows it has

    def append(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Takes rows to be written. Raises ValueError for one whose `dt` is no time, and OSError."""
        rows = pa.Table.from_arrays(
            [self._column(column, events) for column in self._columns], schema=self._columns
        )
        days = pc.floor_temporal(rows[TIME], unit="day")
        for day in pc.unique(days):
            of_day = self._rows.setdefault(day.as_py(), [])
            of_day.append(rows.filter(pc.equal(days, day)) if day.is_valid else rows.filter(pc.is_null(days)))
            if sum(map(len, of_day)) >= _ROWS_IN_GROUP:
                self._write(day.as_py())

    def flush(self) -> None:
        """Writes all rows that were taken; the files are whole when the stack is closed. Raises OSError."""
        for day in list(self._rows):
            self._write(day)

    def _column(self, column: pa.Field, events: Sequence[Mapping[str, Any]]) -> pa.Array:
        if column.name == DATACENTER:
            return pa.array([datacenter_of(self.day.folder)] * len(events), column.type)
        values = [event.get(self._fields.get(column.name, "")) for event in events]
        return _times(values) if column.name == TIME else pa.array(values, column.type)

    def _write(self, day: Any) -> None:
        rows = pa.concat_tables(self._rows.pop(day))
        writer, count = self._open.get(day) or (self._next(), 0)
        writer.write_table(rows)
        self._open[day] = writer, count + len(rows)
        if count + len(rows) >= _ROWS_IN_FILE:
            self._open.pop(day)

    def _next(self) -> pq.ParquetWriter:
        name = f"{self.day.digest}-{len(self.paths)}.parquet"
        path = f"{self.table.location().rstrip('/')}/data/{self.day.folder}/{name}"
        self.paths.append(path)
        stream = self.stack.enter_context(self.table.io.new_output(path).create(overwrite=True))
        return self.stack.enter_context(pq.ParquetWriter(stream, self._columns, compression="zstd"))
