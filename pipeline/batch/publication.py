"""What a dataset says, in tables of Iceberg: a snapshot of each table for what is new in it."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pyiceberg.catalog import Catalog, load_catalog

import schemas
from pipeline.console.columns import counted
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.filesystem import name_of
from transforms.datasets.iceberg_files import Day
from transforms.datasets.iceberg_table import CannotPublishError, IcebergTable
from transforms.datasets.manifests import find_partition, inputs_below, partitions_by
from transforms.datasets.storage_paths import Place, address_of, each_at
from transforms.datasets.stored_rows import rows_in
from transforms.events.parsing import NotAnEventError
from transforms.models.model import Configuration

_FILE_IO = "transforms.datasets.iceberg_io.DatasetFileIO"
_LARGE_AT_ONCE = 3  # days, some 40 MB of memory each
_DEPTH = 4  # how many folders of an hour's partition tell its day


@dataclass(frozen=True, eq=False)
class _DayFound:
    """A day of a table of a dataset."""

    day: Day
    hours: Sequence[Place]
    manifests: Sequence[Mapping[str, Any]]
    damage: str  # why its rows are not to be published; empty: they are

    def rows(self) -> Iterator[Mapping[str, Any]]:
        return (row for hour in self.hours for row in rows_in(hour))


def open_catalog(name: str) -> Catalog:
    """Returns the catalog that pyiceberg's configuration has under a name. Raises UsageError where there is
    none, or where it does not answer."""
    try:
        catalog = load_catalog(name)
        if "py-io-impl" not in catalog.properties:
            catalog = load_catalog(name, **{"py-io-impl": _FILE_IO})
        catalog.list_namespaces()
    except Exception as error:  # each kind of catalog has errors of its own
        raise UsageError(
            f"--catalog: {name} cannot be opened: {_in_a_line(error)}; catalogs are described in "
            f"~/.pyiceberg.yaml, or by PYICEBERG_CATALOG__{name.upper()}__URI and the like"
        ) from error
    return catalog


def publish(writer: DatasetWriter, configuration: Configuration, catalog: Catalog, namespace: str) -> bool:
    """Makes snapshots of what the tables of models and of failures have, where that is not what the tables of
    the catalog have, and prints what it did; returns whether all could be read and committed."""
    tables = {schemas.table_name(model.stream): model.schema for model in configuration.models.values()}
    tables[schemas.table_name(configuration.failure_stream)] = schemas.ERROR
    results = [
        _published(
            place := writer.root / name,
            IcebergTable(catalog, namespace, name, schema, name_of(address_of(place))),
        )
        for name, schema in tables.items()
        if (writer.root / name).is_dir()
    ]
    return all(results)


def _published(place: Place, table: IcebergTable) -> bool:
    try:
        return _publish(place, table)
    except CannotPublishError as error:
        print(error)
    except Exception as error:  # of one table; each kind of catalog and store has errors of its own
        print(f"{table}: {_in_a_line(error)}; repair it, and publish again")
    return False


def _publish(place: Place, table: IcebergTable) -> bool:
    there = table.days()
    days = partitions_by(place, _DEPTH).items()
    found = each_at(place, lambda day: _find(place, table.schema, *day), days)
    new = [day for day in found if day.day not in there]
    written = dict(zip(new, each_at(place, lambda day: _write(table, day), new, _LARGE_AT_ONCE), strict=True))
    unreadable = {day.day.folder: said for day, said in written.items() if isinstance(said, str)}
    # a day that cannot be read stays as it was
    wanted = {day for day in there if day.folder in unreadable}
    wanted |= {day.day for day in found if day.day.folder not in unreadable}
    fresh = {day: files for day, files in written.items() if not isinstance(files, str)}
    table.commit(wanted, [file for files in fresh.values() for file in files], _facts(fresh))
    for folder, said in unreadable.items():
        print(f"{table}: {folder}: {said}; regenerate --resume makes a partition anew")
    count = sum(bool(files) for files in fresh.values())  # a day may have no rows
    print(f"{table}: {counted(count, 'day')} written, {len(wanted):,} in all")
    return not unreadable


def _find(table: Place, schema: str, folder: str, partitions: Sequence[str]) -> _DayFound:
    hours = [table / partition for partition in partitions]
    made_of = orjson.dumps([schema, [entry for hour in hours for entry in inputs_below(table, hour)]])
    day = Day(folder, str(uuid.uuid5(uuid.NAMESPACE_URL, made_of.decode())))
    if schema == schemas.ERROR:  # which has no manifests
        return _DayFound(day, hours, (), "")
    found = [partition for hour in hours if (partition := find_partition(hour))]
    damage = next((partition.damage for partition in found if partition.damage), "")
    return _DayFound(day, hours, [partition.manifest for partition in found], damage)


def _write(table: IcebergTable, found: _DayFound) -> list[str] | str:
    """Returns the files, or why the day cannot be read."""
    try:
        return found.damage or table.write(found.day, found.rows())
    except (NotAnEventError, OSError, ValueError) as error:
        return _in_a_line(error)


def _facts(days: Mapping[_DayFound, object]) -> dict[str, str]:
    """Returns what manifests say of the hours that are new in a snapshot, for its summary."""
    manifests = [manifest for day in days for manifest in day.manifests]
    return {
        "days": str(len(days)),
        "hours": str(sum(len(day.hours) for day in days)),
        "rows": str(sum(manifest["rows"] for manifest in manifests)),
        "missing": str(sum(len(manifest.get("missing", ())) for manifest in manifests)),
        "runs": " ".join(sorted({str(manifest["run"]) for manifest in manifests if "run" in manifest})),
        **{
            name: orjson.dumps(sum((Counter(each.get(name, {})) for each in manifests), Counter())).decode()
            for name in ("failures", "model_versions")
        },
    }


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
