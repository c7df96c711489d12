"""Rows of tables as events: one conversion of the types of Parquet and Avro to those of JSON.

A time is ISO 8601 in UTC, a whole decimal is a whole number, bytes are text; NaN, null and a struct of nulls
are no value, and so absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

import pyarrow as pa

from schemas.event_schemas import PREDICTION_CHANGE, REVISION_SCORE, load

_NO_FIELDS = {  # columns: refine's own, and the partition's
    *("is_wmf_domain", "normalized_host", "geocoded_data", "user_agent_map"),
    *("datacenter", "year", "month", "day", "hour"),
}
_SOURCES = ("/mediawiki/revision/create/2.0.0", "/mediawiki/page/change/1.2.0")
_TIME = re.compile(r"([+-]?\d{4,}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d(?:\.\d+)?)(Z| UTC|[+-]\d\d:?\d\d)?)?")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row with a value that cannot be read: why, and the rest of the row."""

    reason: str
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Unreadable:
    reason: str


def events_of_batch(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | BadRow]:
    """Yields the event of each row; of a row with a value that cannot be read a BadRow. Raises nothing for
    what is in a column."""
    columns = {
        _field(name): _values(column, name)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        if name not in _NO_FIELDS
    }
    for row in zip(*columns.values(), strict=True) if columns else [()] * batch.num_rows:
        yield _event(dict(zip(columns, row, strict=True)))


def event_of_record(record: Mapping[str, Any]) -> dict[str, Any] | BadRow:
    """Returns the event of a record of Avro, or a BadRow."""
    try:
        return {
            _field(name): inner
            for name, value in record.items()
            if name not in _NO_FIELDS and (inner := _of_python(value, name)) is not None
        }
    except Exception:  # one of its values is none of JSON's
        return _event(
            {
                _field(name): _value_or_why(_of_python, value, name)
                for name, value in record.items()
                if name not in _NO_FIELDS
            }
        )


def _event(fields: Mapping[str, Any]) -> dict[str, Any] | BadRow:
    event = {name: value for name, value in fields.items() if value is not None}
    wrong = {name: value.reason for name, value in event.items() if type(value) is _Unreadable}
    if not wrong:
        return event
    return BadRow(
        "; ".join(f"{name}: {reason}" for name, reason in wrong.items()),
        {name: value for name, value in event.items() if name not in wrong},
    )


def _field(column: str) -> str:
    return "$schema" if column == "_schema" else column


# Values of Arrow


def _values(column: pa.Array, name: str) -> list[Any]:
    """The values of a column; _Unreadable for each that is none, or None where no event has such a field."""
    try:
        return _of_arrow(_as_json_types(column), name, pa.types.is_temporal(column.type))
    except Exception:  # one value fails the column: each by itself
        return [_value_or_why(_of_slice, column.slice(place, 1), name) for place in range(len(column))]


def _of_slice(one: pa.Array, name: str) -> Any:
    return _of_arrow(_as_json_types(one), name, pa.types.is_temporal(one.type))[0]


def _value_or_why(convert: Callable[[Any, str], Any], value: Any, name: str) -> Any:
    try:
        return convert(value, name)
    except Exception as error:  # whatever the library makes of it
        return (
            _Unreadable(f"{type(error).__name__}: {error}"[:300]) if _field(name) in _fields_known() else None
        )


def _as_json_types(column: pa.Array) -> pa.Array:
    in_utc, of_text = _in_utc(column.type), _of_text(column.type)
    column = column if in_utc == column.type else column.cast(in_utc)
    return column if of_text == in_utc else column.cast(of_text)


@lru_cache(maxsize=1000)
def _in_utc(kind: pa.DataType) -> pa.DataType:
    """The type with each time as a timestamp in UTC, which one without a zone is in Hive."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp(kind.unit, "UTC")
    return (
        pa.timestamp("s", "UTC")
        if pa.types.is_date32(kind)
        else pa.timestamp("ms", "UTC")
        if pa.types.is_date64(kind)
        else _rebuilt(kind, _in_utc)
    )


@lru_cache(maxsize=1000)
def _of_text(kind: pa.DataType) -> pa.DataType:
    """The type with text for times, which Python may not have, and for bytes."""
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_interval(kind):
        return pa.string()
    if (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    ):
        return pa.string()
    return _of_text(kind.value_type) if pa.types.is_dictionary(kind) else _rebuilt(kind, _of_text)


def _rebuilt(kind: pa.DataType, change: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """The nested type with its parts changed."""
    if pa.types.is_struct(kind):
        return pa.struct(
            [kind.field(place).with_type(change(kind.field(place).type)) for place in range(kind.num_fields)]
        )
    if pa.types.is_map(kind):
        return pa.map_(change(kind.key_type), change(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return (pa.list_ if pa.types.is_list(kind) else pa.large_list)(
            kind.value_field.with_type(change(kind.value_type))
        )
    return kind


def _of_arrow(column: pa.Array, name: str, of_time: bool = False) -> list[Any]:
    """The values of a column as JSON has them. Some five times as fast as `to_pylist`, which makes a scalar
    of each value, of each field of a struct too."""
    kind = column.type
    if pa.types.is_struct(kind):
        return _structs(column)
    if pa.types.is_map(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _nested(column, name)
    if pa.types.is_string(kind):
        texts = _texts(column)
        return (
            [None if text is None else _iso(text) for text in texts] if name in _times() or of_time else texts
        )
    whole = pa.types.is_integer(kind) and not column.null_count
    values: list[Any] = column.to_numpy().tolist() if whole else column.to_pylist()
    return (
        values
        if pa.types.is_boolean(kind) or pa.types.is_integer(kind)
        else [_of_python(value, name) for value in values]
    )


def _texts(column: pa.Array) -> list[str | None]:
    try:
        texts: list[str | None] = column.to_numpy(zero_copy_only=False).tolist()
    except pa.ArrowException:  # which does not say what is wrong with the text
        texts = [None if text is None else text.decode() for text in column.cast(pa.binary()).to_pylist()]
    return texts


def _structs(column: pa.StructArray) -> list[Any]:
    """A struct of nulls is no value."""
    names = [column.type.field(place).name for place in range(column.type.num_fields)]
    fields = [_of_arrow(field, name) for field, name in zip(column.flatten(), names, strict=True)]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None} or None
        for row in zip(*fields, strict=True)
    ]


def _nested(column: pa.Array, name: str) -> list[Any]:
    """Lists, or of maps the objects; null in them is no value."""
    offsets = column.offsets.to_pylist()
    first, length = offsets[0], offsets[-1] - offsets[0]
    of_map = pa.types.is_map(column.type)
    values = _of_arrow((column.items if of_map else column.values).slice(first, length), name)
    keys = _of_arrow(column.keys.slice(first, length), "") if of_map else ()
    found: list[Any] = []
    for start, end, valid in zip(offsets, offsets[1:], column.is_valid().to_pylist(), strict=False):
        if not valid:
            found.append(None)
        elif of_map:
            pairs = zip(keys[start - first : end - first], values[start - first : end - first], strict=True)
            found.append({str(key): value for key, value in pairs if value is not None})
        else:
            found.append([value for value in values[start - first : end - first] if value is not None])
    return found


# Values of Python


def _of_python(value: Any, name: str) -> Any:
    """The value in a type of JSON; None for what is no value. Raises ValueError for bytes that are no
    text."""
    kind = type(value)
    if kind is str:
        if not value.isascii():
            value.encode()  # raises for what was no UTF-8
        return _iso(value) if value[10:11] == " " and name in _times() else value
    if kind is int or kind is bool or value is None:
        return value
    if kind is dict:
        inner = {
            _text(key): each
            for key, each_value in value.items()
            if (each := _of_python(each_value, key)) is not None
        }
        return inner or (None if value else inner)
    if kind is list or kind is tuple:
        return [each for each_value in value if (each := _of_python(each_value, name)) is not None]
    if kind is float or kind is Decimal:
        return _number(value, name)
    if kind is bytes:
        return value.decode()
    return _iso(value.isoformat()) if isinstance(value, date) else str(value)


def _text(key: Any) -> str:
    return key if type(key) is str else key.decode() if type(key) is bytes else str(key)


def _number(value: float | Decimal, name: str) -> int | float | None:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if math.isnan(value):
        return None
    return int(value) if name in _whole_numbers() and value.is_integer() else float(value)


def _iso(value: str) -> str:
    """2024-02-05 00:00:00.120000Z is 2024-02-05T00:00:00.12Z; a time without a zone is in UTC. What is no
    time stays as it is."""
    if value[10:11] == "T" and value[-1] == "Z":  # text that is one already stays as it was written
        return value
    found = _TIME.fullmatch(value)
    if not found:
        return value
    day, clock, zone = found.groups()
    clock = clock or "00:00:00"
    return f"{day}T{clock.rstrip('0').rstrip('.') if '.' in clock else clock}{zone or 'Z'}".replace(
        " UTC", "Z"
    ).replace("+00:00", "Z")


# Names


@cache
def _fields_known() -> frozenset[str]:
    return frozenset(
        name for uri in (*_SOURCES, REVISION_SCORE, PREDICTION_CHANGE) for name in load(uri)["properties"]
    )


@cache
def _whole_numbers() -> frozenset[str]:
    return frozenset(
        name for uri in _SOURCES for name, field in _below(load(uri)) if field.get("type") == "integer"
    )


@cache
def _times() -> frozenset[str]:
    return frozenset(
        name for uri in _SOURCES for name, field in _below(load(uri)) if field.get("format") == "date-time"
    )


def _below(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, field in (schema.get("properties") or {}).items():
        yield name, field
        yield from _below(field)
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from _below(schema["additionalProperties"])
