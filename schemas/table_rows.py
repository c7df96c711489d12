"""Rows of tables as events: one conversion of the types of Parquet and Avro to those of JSON.

A time is ISO 8601 in UTC, a whole decimal is a whole number, bytes are text; NaN, null and a struct of nulls
are no value, and so absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from schemas.arrow_values import values_of
from schemas.field_names import field_of
from schemas.python_values import Unreadable, of_python, value_or_why

_NO_FIELDS = {  # columns: refine's own, and the partition's
    *("is_wmf_domain", "normalized_host", "geocoded_data", "user_agent_map"),
    *("datacenter", "year", "month", "day", "hour"),
}


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row with a value that cannot be read: why, and the rest of the row."""

    reason: str
    event: Mapping[str, Any]


def events_of_batch(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | BadRow]:
    """Yields the event of each row; of a row with a value that cannot be read a BadRow. Raises nothing for
    what is in a column."""
    columns = {
        field_of(name): values_of(column, name)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        if name not in _NO_FIELDS
    }
    for row in zip(*columns.values(), strict=True) if columns else [()] * batch.num_rows:
        yield _event(dict(zip(columns, row, strict=True)))


def event_of_record(record: Mapping[str, Any]) -> dict[str, Any] | BadRow:
    """Returns the event of a record of Avro, or a BadRow."""
    try:
        return {
            field_of(name): inner
            for name, value in record.items()
            if name not in _NO_FIELDS and (inner := of_python(value, name)) is not None
        }
    except Exception:  # one of its values is none of JSON's
        return _event(
            {
                field_of(name): value_or_why(of_python, value, name)
                for name, value in record.items()
                if name not in _NO_FIELDS
            }
        )


def _event(fields: Mapping[str, Any]) -> dict[str, Any] | BadRow:
    event = {name: value for name, value in fields.items() if value is not None}
    wrong = {name: value.reason for name, value in event.items() if type(value) is Unreadable}
    if not wrong:
        return event
    return BadRow(
        "; ".join(f"{name}: {reason}" for name, reason in wrong.items()),
        {name: value for name, value in event.items() if name not in wrong},
    )
