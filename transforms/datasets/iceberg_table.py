"""A table of Iceberg that says what a table of a dataset says, a day of a datacenter at a time.

A day's files have a name that follows from what the day was made of, so that a day which is there is known
without a note of ours, and one that was half written when a run was killed is written again under its names.
What was replaced stays for readers of older snapshots, until whoever keeps the table expires these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationError, ValidationException
from pyiceberg.io.pyarrow import parquet_files_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform

import schemas
from transforms.datasets.iceberg_files import DATACENTER, TIME, TIME_TYPE, Day, DayFiles, day_of

_ROWS_READ = 4_000
_TRIES = 5
_OURS = "revision-scores."  # how the facts in a snapshot's summary begin
_DATASET = f"{_OURS}dataset"  # the property of a table that says what it mirrors


class CannotPublishError(Exception):
    """A table of Iceberg that cannot be brought to what the dataset says, and why."""


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
        return {day for file in self._files() if (day := day_of(file.file_path))}

    def write(self, day: Day, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Writes files with the rows of a day, which nobody reads before they are committed; returns where
        they are. Raises ValueError for a row whose `dt` is no time, and OSError."""
        with ExitStack() as stack:
            files, rows = DayFiles(self._table, self.schema, day, stack), iter(rows)
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
            gone = [file for file in there if day_of(file.file_path) not in wanted]
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
        if not is_ours or not all(day_of(file.file_path) for file in files):
            raise CannotPublishError(
                f"{self}: somebody else made its newest snapshot, {snapshot.snapshot_id}; roll it back to "
                "one of revision-scores, or drop the table, which is then made anew"
            )
        return files

    @cached_property
    def _table(self) -> Table:
        try:
            table = self.catalog.load_table((self.namespace, self.name))
        except NoSuchTableError:
            return self._created()
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
                update.union_by_name(self._columns())
        except (ValidationError, ValueError) as error:
            raise CannotPublishError(f"{self}: has other columns than its events: {error}") from error
        return table

    def _created(self) -> Table:
        identifier, properties = (self.namespace, self.name), {_DATASET: self.dataset}
        self.catalog.create_namespace_if_not_exists(self.namespace)
        with (
            self.catalog.create_table_transaction(
                identifier, self._columns(), properties=properties
            ) as transaction,
            transaction.update_spec() as partitions,
        ):
            partitions.add_field(TIME, DayTransform(), f"{TIME}_day")
        return self.catalog.load_table(identifier)

    def _columns(self) -> pa.Schema:
        """Returns the columns of Hive's table, with a time where that has a text, and with the datacenter."""
        columns = schemas.arrow_schema(self.schema)
        columns = columns.set(columns.get_field_index(TIME), pa.field(TIME, TIME_TYPE))
        return columns.append(pa.field(DATACENTER, pa.string()))
