"""The statements that `tables` prints, in the dialects of Hive, which is Spark's too, and of DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

import schemas
from pipeline.usage_error import UsageError
from transforms.datasets.part_files import PART_FILES

_ALL = "mediawiki_revision_score_all"
PARTITIONED_BY = ("`datacenter` string", "`year` bigint", "`month` bigint", "`day` bigint", "`hour` bigint")
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


class Table(NamedTuple):
    """A table of a dataset."""

    name: str
    schema: str
    format: str = "parquet"  # a key of PART_FILES
    model: str = ""  # whose revision scores it has; empty: it has others
    partitioned_by: Sequence[str] = PARTITIONED_BY


def hive_table(table: Table, root: str) -> str:
    """Returns the statements that make an external table and find its partitions."""
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


def duckdb_view(table: Table, root: str) -> str:
    """Returns the statement that makes a view of a table's files. Raises UsageError for files that DuckDB
    cannot read."""
    pattern = _duckdb_pattern(table, root.removeprefix("file://"))
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


def union_view(tables: Sequence[Table], quote: str) -> str:
    """Returns the statement that makes one view of tables with the same columns, and of their models.

    `quote`: what a dialect puts around names.
    """
    union = "\n  UNION ALL ".join(
        f"SELECT '{table.model}' AS model, * FROM {quote}{table.name}{quote}" for table in tables
    )
    return f"CREATE OR REPLACE VIEW {quote}{_ALL}{quote} AS\n  {union};"


def _duckdb_pattern(table: Table, place: str) -> str:
    """Returns the pattern of a table's files below a place, as it stands between quotes."""
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
    return f"{files}/**/*.{PART_FILES[table.format].suffix}".replace("'", "''")


def _fields(schema: str) -> Iterator[tuple[str, pa.DataType]]:
    """Yields the fields of events with their types, by their own names, as JSON lines have them."""
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
