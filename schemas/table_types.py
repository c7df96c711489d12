"""How an event looks as a row of a Hive table: the names and types that Wikimedia's refine gives it (rules of
JsonSchemaConverter in nomoa/wikimedia-event-utilities and of HivePartition in
wikimedia/analytics-refinery-source)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pyarrow as pa

from schemas.event_schemas import load

_SCALARS = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
_HIVE_SCALARS = {pa.string(): "string", pa.int64(): "bigint", pa.float64(): "double", pa.bool_(): "boolean"}
_AVRO_SCALARS = {pa.string(): "string", pa.int64(): "long", pa.float64(): "double", pa.bool_(): "boolean"}


@cache
def table_name(stream: str) -> str:
    """Returns the name of a stream's table: of mediawiki.revision-score-damaging
    mediawiki_revision_score_damaging."""
    return column_name(stream).lower()


@cache
def column_name(field: str) -> str:
    """Returns the name of a field's column: of `$schema` _schema."""
    return re.sub(r"[^A-Za-z0-9_]", "_", field)


@cache
def arrow_schema(uri: str) -> pa.Schema:
    """Returns the columns of a table whose events have the schema `uri`."""
    return pa.schema(
        [(column_name(name), _arrow_type(field)) for name, field in load(uri)["properties"].items()]
    )


def _arrow_type(field: Mapping[str, Any]) -> pa.DataType:
    kind = field["type"]
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind == "array":
        return pa.list_(_arrow_type(field["items"]))
    if isinstance(field.get("additionalProperties"), Mapping):
        return pa.map_(pa.string(), _arrow_type(field["additionalProperties"]))
    return pa.struct([(column_name(name), _arrow_type(inner)) for name, inner in field["properties"].items()])


@cache
def avro_schema(uri: str) -> dict[str, Any]:
    """Returns the same columns as an Avro record; every field may be null, as in Hive."""
    return _avro_record(table_name(uri.strip("/").rsplit("/", 1)[0]), list(arrow_schema(uri)))


def _avro_record(name: str, fields: list[pa.Field]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [
            {
                "name": field.name,
                "type": ["null", _avro_type(f"{name}_{field.name}", field.type)],
                "default": None,
            }
            for field in fields
        ],
    }


def _avro_type(name: str, kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return {"type": "array", "items": _avro_type(name, kind.value_type)}
    if pa.types.is_map(kind):
        return {"type": "map", "values": _avro_type(name, kind.item_type)}
    if pa.types.is_struct(kind):
        return _avro_record(name, [kind.field(i) for i in range(kind.num_fields)])
    return _AVRO_SCALARS[kind]


def hive_type(kind: pa.DataType) -> str:
    """Returns a type as Hive and Spark write it."""
    if pa.types.is_list(kind):
        return f"array<{hive_type(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{hive_type(kind.key_type)},{hive_type(kind.item_type)}>"
    if pa.types.is_struct(kind):
        fields = (kind.field(i) for i in range(kind.num_fields))
        return f"struct<{','.join(f'{field.name}:{hive_type(field.type)}' for field in fields)}>"
    return _HIVE_SCALARS[kind]


def table_row(event: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an event under the names of its columns. Only the top level has names that differ
    (`$schema`)."""
    return {column_name(name): value for name, value in event.items()}
