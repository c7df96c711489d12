"""The command `tables`: statements that make tables of the datasets, and one view over all models of revision
scores."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import schemas
from pipeline.commands.compact import DEPTHS, compacted
from pipeline.commands.tables_sql import PARTITIONED_BY, Table, duckdb_view, hive_table, union_view
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import SomeModelsOptions
from pipeline.options import option
from pipeline.usage_error import UsageError
from transforms.datasets.filesystem import is_remote, name_of, printable
from transforms.datasets.manifests import files_below, find_partition, partitions_in
from transforms.datasets.part_files import PART_FILES
from transforms.datasets.storage_paths import Place, os_reason, place_at, reach
from transforms.events.combined_events import SCHEMAS, STREAM
from transforms.models.model import Configuration

_COMBINED = schemas.table_name(STREAM)


@dataclass(frozen=True, kw_only=True)
class Options(SomeModelsOptions):
    root: str = option("root", metavar="ROOT", help="the --output of regenerate, as the engine finds it")
    dialect: str = option(
        "--dialect", choices=["hive", "duckdb"], default="hive", help="hive is for Spark too (default: hive)"
    )


def run(options: Options) -> int:
    """Prints the statements for Hive and Spark, or for DuckDB. Returns 0. Raises UsageError for a place where
    there is no dataset."""
    configuration = load_with(options.models, options.overrides)
    in_hive = options.dialect == "hive"
    root, tables = _located(options.root.rstrip("/") or "/", _tables(configuration))
    # a view on files that are not there would end the script
    if not in_hive and _place(options.root) is None:
        tables = tables[: len(configuration.models)]
    for table in tables:
        print(hive_table(table, root) if in_hive else duckdb_view(table, root))
    if alike := [table for table in tables if table.model]:
        print(union_view(alike, "`" if in_hive else '"'))
    return 0


def _tables(configuration: Configuration) -> list[Table]:
    """Returns the tables that there may be, those of models first."""
    of_models = [
        Table(
            schemas.table_name(model.stream),
            model.schema,
            model=model.name if model.schema == schemas.REVISION_SCORE else "",
        )
        for model in configuration.models.values()
    ]
    return [
        *of_models,
        *(
            Table(compacted(table.name, by), table.schema, partitioned_by=PARTITIONED_BY[:depth])
            for by, depth in DEPTHS.items()
            for table in of_models
        ),
        Table(schemas.table_name(configuration.failure_stream), schemas.ERROR),
        Table(_COMBINED, SCHEMAS["3.0.0"]),
    ]


def _located(given: str, tables: list[Table]) -> tuple[str, list[Table]]:
    """Returns the root as an engine finds it, and those of the tables that are there; where they cannot be
    looked at, all that `regenerate` and `combine` make. Raises UsageError."""
    root = _place(given)
    if root is None:
        print(
            f"{printable(given)} cannot be looked at from here: the statements are for all models and for "
            "Parquet, whatever lies there",
            file=sys.stderr,
        )
        return given, [table for table in tables if table.partitioned_by == PARTITIONED_BY]
    if not root.is_dir():
        raise UsageError(
            f"no such directory: {printable(given)}; name the --output of regenerate, by its whole path or "
            "address where it is not here"
        )
    if printable(given) != given:
        raise UsageError(
            f"{printable(given)}: expected a path in UTF-8, which statements are written in; rename it"
        )
    found = [table for listed in tables if (table := _as_found(root, listed))]
    if not found:
        raise UsageError(f"no dataset of a model lies in {given}; name the --output of regenerate")
    return _address_for_engine(given), found


def _address_for_engine(root: str) -> str:
    # An engine takes a relative path to be below its own warehouse, and one without a scheme to be in its own
    # file system, such as HDFS.
    if is_remote(root) or os.path.isabs(root):
        return name_of(root)
    return f"file://{os.path.abspath(root)}"


def _place(given: str) -> Place | None:
    """Returns the root as this command finds it; None where it cannot be looked at: on another machine, or in
    a file system that only the engine knows."""
    if not is_remote(given):
        return Path(given) if os.path.isdir(given) or not os.path.isabs(given) else None
    try:
        place = place_at(given)
        reach(place)
    except (OSError, ValueError):
        return None
    return place


def _as_found(root: Place, table: Table) -> Table | None:
    """Returns the table with the format and schema that it has; None when it has no files. Raises UsageError
    for one that is in two formats, or cannot be read."""
    try:
        names = {path.name for path in files_below(root / table.name)}
    except OSError as error:
        raise UsageError(f"{root / table.name}: cannot be read: {os_reason(error)}") from error
    formats = [
        form for form, part in PART_FILES.items() if any(name.endswith(f".{part.suffix}") for name in names)
    ]
    if len(formats) > 1:
        raise UsageError(
            f"{root / table.name} has files in {' and in '.join(formats)}, which no engine reads as one "
            "table; make its partitions anew in one"
        )
    if not formats:
        return None
    return table._replace(
        format=formats[0],
        schema=_combined_schema(root / table.name) if table.name == _COMBINED else table.schema,
    )


def _combined_schema(table: Place) -> str:
    """Returns the schema of the table of combined events: the version that `combine` was told."""
    found = find_partition(table / partitions_in(table)[-1])
    noted = found.rule.get("schema") if found else None
    return next((schema for schema in SCHEMAS.values() if schema == noted), SCHEMAS["3.0.0"])
