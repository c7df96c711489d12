"""The command `tables`: statements that make tables of the datasets, and one view over all models of revision
scores."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

import schemas
from pipeline.commands.compact import DEPTHS, compacted
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import SomeModelsOptions
from pipeline.options import option
from pipeline.usage_error import UsageError
from transforms.datasets.filesystem import is_remote, name_of, printable
from transforms.datasets.manifests import files_below, find_partition, partitions_in
from transforms.datasets.part_files import PART_FILES
from transforms.datasets.places import Place, os_reason, place_at, reach
from transforms.events.combined_events import SCHEMAS, STREAM
from transforms.models.model import Configuration

ALL = "mediawiki_revision_score_all"
_COMBINED = schemas.table_name(STREAM)
_PARTITIONED_BY = ("`datacenter` string", "`year` bigint", "`month` bigint", "`day` bigint", "`hour` bigint")
_STORED_AS = {
    "parquet": "STORED AS PARQUET",
    "avro": "STORED AS AVRO",
    "jsonl": "ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'\nSTORED AS TEXTFILE",
}
_DUCKDB_SCALARS = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
}


class _Table(NamedTuple):
    """A table of a dataset."""

    name: str
    schema: str
    format: str = "parquet"
    model: str = ""  # of whose revision scores it is
    partitioned_by: Sequence[str] = _PARTITIONED_BY


@dataclass(frozen=True, kw_only=True)
class Options(SomeModelsOptions):
    root: str = option("root", metavar="ROOT", help="the --output of regenerate, as the engine finds it")
    dialect: str = option(
        "--dialect", choices=["hive", "duckdb"], default="hive", help="hive is for Spark too (default: hive)"
    )


def run(options: Options) -> int:
    """Prints them for Hive and Spark, or for DuckDB. Gives 0. Raises UsageError for a place where there is no
    dataset."""
    configuration = load_with(options.models, options.overrides)
    in_hive = options.dialect == "hive"
    root, tables = _located(options.root.rstrip("/") or "/", _tables(configuration))
    # a view on files that are not there would end the script
    if not in_hive and _place(options.root) is None:
        tables = tables[: len(configuration.models)]
    for table in tables:
        print(_hive_table(table, root) if in_hive else _duckdb_view(table, root))
    quote = "`" if in_hive else '"'
    if alike := [table for table in tables if table.model]:
        union = "\n  UNION ALL ".join(
            f"SELECT '{table.model}' AS model, * FROM {quote}{table.name}{quote}" for table in alike
        )
        print(f"CREATE OR REPLACE VIEW {quote}{ALL}{quote} AS\n  {union};")
    return 0


def _tables(configuration: Configuration) -> list[_Table]:
    """The tables that there may be."""
    of_models = [
        _Table(
            schemas.table_name(model.stream),
            model.schema,
            model=model.name if model.schema == schemas.REVISION_SCORE else "",
        )
        for model in configuration.models.values()
    ]
    return [
        *of_models,
        *(
            _Table(compacted(table.name, by), table.schema, partitioned_by=_PARTITIONED_BY[:depth])
            for by, depth in DEPTHS.items()
            for table in of_models
        ),
        _Table(schemas.table_name(configuration.failure_stream), schemas.ERROR),
        _Table(_COMBINED, SCHEMAS["3.0.0"]),
    ]


def _located(given: str, tables: list[_Table]) -> tuple[str, list[_Table]]:
    """The root as an engine finds it, and those of the tables that are there: all, where they cannot be
    looked at. Raises UsageError."""
    root = _place(given)
    if root is None:
        print(
            f"{printable(given)} cannot be looked at from here: the statements are for all models and for "
            "Parquet, whatever lies there",
            file=sys.stderr,
        )
        return given, [table for table in tables if table.partitioned_by == _PARTITIONED_BY]
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
    # An engine takes a relative path to be below its own warehouse, and one without a scheme to be in its own
    # file system, such as HDFS.
    if is_remote(given) or os.path.isabs(given):
        return name_of(given), found
    return f"file://{os.path.abspath(given)}", found


def _place(given: str) -> Place | None:
    """The root as this command finds it; None where it cannot be looked at: on another machine, or by a file
    system of which only the engine knows."""
    if not is_remote(given):
        return Path(given) if os.path.isdir(given) or not os.path.isabs(given) else None
    try:
        place = place_at(given)
        reach(place)
    except (OSError, ValueError):
        return None
    return place


def _as_found(root: Place, table: _Table) -> _Table | None:
    """The table with the format and schema that it has; None when it has no files. Raises UsageError for one
    that is in two formats."""
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
    """Of the combined events: the version that `combine` was told."""
    found = find_partition(table / partitions_in(table)[-1])
    told = found.manifest.get("rule", found.manifest).get("schema") if found else None
    return next((schema for schema in SCHEMAS.values() if schema == told), SCHEMAS["3.0.0"])


def _hive_table(table: _Table, root: str) -> str:
    columns = ",\n  ".join(
        f"`{column.name}` {schemas.hive_type(column.type)}" for column in schemas.arrow_schema(table.schema)
    )
    location = f"{root}/{table.name}".replace("\\", "\\\\").replace("'", "\\'")
    partitions = ", ".join(table.partitioned_by)
    place = f"PARTITIONED BY ({partitions})\n{_STORED_AS[table.format]}\nLOCATION '{location}'"
    return (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS `{table.name}` (\n  {columns}\n)\n{place};\nMSCK REPAIR "
        f"TABLE `{table.name}`;"
    )


def _duckdb_view(table: _Table, root: str) -> str:
    place = root.removeprefix("file://")
    if table.format == "avro":
        raise UsageError(
            f"{place}/{table.name} is in Avro, which DuckDB reads by an extension alone; say --dialect "
            "hive, or regenerate in Parquet"
        )
    if "\\" in place:
        raise UsageError(
            f"{place}: expected a path without a backslash, which DuckDB takes for a separator; rename it"
        )
    files = "".join(f"[{letter}]" if letter in "[*?" else letter for letter in f"{place}/{table.name}")
    suffix = PART_FILES[table.format].suffix
    pattern = f"{files}/**/*.{suffix}".replace("'", "''")
    if table.format == "parquet":
        return (
            f"CREATE OR REPLACE VIEW \"{table.name}\" AS SELECT * FROM read_parquet('{pattern}', "
            "hive_partitioning = true);"
        )
    columns = ", ".join(f"'{name}': '{_duckdb_type(kind)}'" for name, kind in _fields(table.schema))
    read = (
        f"read_json('{pattern}', format = 'newline_delimited', hive_partitioning = true, columns = "
        f"{{{columns}}})"
    )
    return (
        f'CREATE OR REPLACE VIEW "{table.name}" AS SELECT "$schema" AS _schema, * EXCLUDE ("$schema") '
        f"FROM {read};"
    )


def _fields(schema: str) -> Iterator[tuple[str, pa.DataType]]:
    """The fields of events under their own names, as JSON lines have them."""
    for field in schemas.load(schema)["properties"]:
        yield field, schemas.arrow_schema(schema).field(schemas.column_name(field)).type


def _duckdb_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_duckdb_type(kind.value_type)}[]"
    if pa.types.is_map(kind):
        return f"MAP({_duckdb_type(kind.key_type)}, {_duckdb_type(kind.item_type)})"
    if pa.types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        return f"STRUCT({', '.join(f'{field.name} {_duckdb_type(field.type)}' for field in fields)})"
    return _DUCKDB_SCALARS[kind]
