"""A table of Iceberg that says what a table of a dataset says, a day of a datacenter at a time.

A day's files have a name that follows from what the day was made of, so that a day which is there is known
without a note of ours, and one that was half written when a run was killed is written again under its names.
What was replaced stays for readers of older snapshots, until whoever keeps the table expires these.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationError, ValidationException
from pyiceberg.io.pyarrow import parquet_files_to_data_files, schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform

import schemas
from schemas.hive_layout import datacenter_of

_TIME = "dt"  # the column by whose day a table is partitioned
_TIME_TYPE = pa.timestamp("us", tz="UTC")
_DATACENTER = "datacenter"  # which Hive has by the folder; the rest of that follows from the time
_ROWS_READ, _ROWS_IN_GROUP, _ROWS_IN_FILE = 4_000, 20_000, 1_000_000
_TRIES = 5
_FILE = re.compile(r".*/data/(datacenter=[^/]+(?:/\w+=\d+){3})/([0-9a-f-]+)-\d+\.parquet")
_OURS = "revision-scores."  # how the facts in a snapshot's summary begin
_DATASET = f"{_OURS}dataset"  # the property of a table that says what it mirrors


class CannotPublishError(Exception):
    """A table of Iceberg that cannot be brought to what the dataset says, and why."""


@dataclass(frozen=True, order=True)
class Day:
    """A day of a datacenter, as it was made of certain files."""

    folder: str  # datacenter=eqiad/year=2024/month=2/day=15
    digest: str  # another text when it is made of something else


@dataclass
class IcebergTable:
    """A table in a catalog; made by the first that asks for what is in it."""

    catalog: Catalog
    namespace: str
    name: str
    schema: str  # the schema of its events
    dataset: str  # where the table lies of which it says all, and nothing else

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}"

    def days(self) -> set[Day]:
        """Returns the days that its newest snapshot has. Raises CannotPublishError where somebody else wrote
        that one, as nobody knows then whose rows its files have."""
        return set(map(_day_of, self._files()))

    def write(self, day: Day, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Writes files with the rows of a day, which nobody reads before they are committed; returns where
        they are. Raises ValueError for a row whose `dt` is no time, and OSError."""
        with ExitStack() as stack:
            files, rows = _Files(self._table, self.schema, day, stack), iter(rows)
            while some := list(islice(rows, _ROWS_READ)):
                files.append(some)
            files.flush()
        return files.paths

    def commit(self, wanted: Collection[Day], written: Iterable[str], facts: Mapping[str, str]) -> bool:
        """Makes a snapshot that has the days that are wanted, and no others, if there is something to change;
        returns whether there was. `written`: the files of those that are new.

        Raises CannotPublishError when others commit again and again, or somebody else has.
        """
        new = list(parquet_files_to_data_files(self._table.io, self._table.metadata, iter(written)))
        for _ in range(_TRIES):
            there = self._files()
            gone = [file for file in there if _day_of(file) not in wanted]
            new = [file for file in new if file.file_path not in {each.file_path for each in there}]
            if not new and not gone:
                return False
            told = {f"{_OURS}{name}": value for name, value in facts.items()}
            try:
                with (
                    self._table.transaction() as transaction,
                    transaction.update_snapshot(snapshot_properties=told).overwrite() as update,
                ):
                    for file in gone:
                        update.delete_data_file(file)
                    for file in new:
                        update.append_data_file(file)
            except (CommitFailedException, ValidationException):
                self._table.refresh()
                continue
            return True
        raise CannotPublishError(f"{self}: others committed {_TRIES} times meanwhile")

    def _files(self) -> list[DataFile]:
        snapshot = self._table.current_snapshot()
        if snapshot is None:
            return []
        files = [task.file for task in self._table.scan().plan_files()]
        told = snapshot.summary.additional_properties if snapshot.summary else {}
        is_ours = any(name.startswith(_OURS) for name in told)
        if not is_ours or not all(_FILE.fullmatch(file.file_path) for file in files):
            raise CannotPublishError(
                f"{self}: somebody else made its newest snapshot, {snapshot.snapshot_id}; roll it back to "
                "one of revision-scores, or drop the table, which is then made anew"
            )
        return files

    @cached_property
    def _table(self) -> Table:
        identifier, columns = (self.namespace, self.name), schemas.arrow_schema(self.schema)
        columns = columns.set(columns.get_field_index(_TIME), pa.field(_TIME, _TIME_TYPE))
        columns = columns.append(pa.field(_DATACENTER, pa.string()))
        try:
            table = self.catalog.load_table(identifier)
        except NoSuchTableError:
            self.catalog.create_namespace_if_not_exists(self.namespace)
            with (
                self.catalog.create_table_transaction(
                    identifier, columns, properties={_DATASET: self.dataset}
                ) as transaction,
                transaction.update_spec() as partitions,
            ):
                partitions.add_field(_TIME, DayTransform(), f"{_TIME}_day")
            return self.catalog.load_table(identifier)
        if (found := table.properties.get(_DATASET, self.dataset)) != self.dataset:
            raise CannotPublishError(
                f"{self}: is published from {found}, not from {self.dataset}; name another --namespace, "
                f"or, if the dataset has moved, set the property {_DATASET} of the table"
            )
        if _DATASET not in table.properties:
            with table.transaction() as transaction:
                transaction.set_properties({_DATASET: self.dataset})
        try:
            with table.update_schema() as update:
                update.union_by_name(columns)
        except (ValidationError, ValueError) as error:
            raise CannotPublishError(f"{self}: has other columns than its events: {error}") from error
        return table


def _times(texts: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(texts, pa.string()).cast(_TIME_TYPE)
    except pa.ArrowInvalid:
        return pa.array([None if text is None else _time(text) for text in texts], _TIME_TYPE)


def _time(text: str) -> datetime:
    """RFC 3339 has more than Arrow reads: small letters, more than six digits, leap seconds."""
    usual = re.sub(r"\.(\d+)", lambda found: f".{found[1][:6]:0<6}", text.upper()).replace("Z", "+00:00")
    is_leap = usual[16:19] == ":60"
    time = datetime.fromisoformat(f"{usual[:16]}:59{usual[19:]}" if is_leap else usual)
    return time + timedelta(seconds=is_leap)


def _day_of(file: DataFile) -> Day:
    found = _FILE.fullmatch(file.file_path)
    assert found, file.file_path
    return Day(found[1], found[2])


@dataclass
class _Files:
    """The files of a day of a datacenter: of each day of `dt`, as a file is of one partition."""

    table: Table
    schema: str
    day: Day
    stack: ExitStack
    paths: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._columns = schema_to_pyarrow(self.table.schema())
        # by column; the table may have others, of a newer schema
        self._fields = {schemas.column_name(name): name for name in schemas.load(self.schema)["properties"]}
        self._rows: dict[Any, list[pa.Table]] = {}  # by day of `dt`
        self._open: dict[Any, tuple[pq.ParquetWriter, int]] = {}  # with how many rows it has

    def append(self, events: Sequence[Mapping[str, Any]]) -> None:
        rows = pa.Table.from_arrays(
            [self._column(column, events) for column in self._columns], schema=self._columns
        )
        days = pc.floor_temporal(rows[_TIME], unit="day")
        for day in pc.unique(days):
            of_day = self._rows.setdefault(day.as_py(), [])
            of_day.append(rows.filter(pc.equal(days, day)) if day.is_valid else rows.filter(pc.is_null(days)))
            if sum(map(len, of_day)) >= _ROWS_IN_GROUP:
                self._write(day.as_py())

    def flush(self) -> None:
        for day in list(self._rows):
            self._write(day)

    def _column(self, column: pa.Field, events: Sequence[Mapping[str, Any]]) -> pa.Array:
        if column.name == _DATACENTER:
            return pa.array([datacenter_of(self.day.folder)] * len(events), column.type)
        values = [event.get(self._fields.get(column.name, "")) for event in events]
        return _times(values) if column.name == _TIME else pa.array(values, column.type)

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
