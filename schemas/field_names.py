"""Which fields of events a table's columns are, and which of them are times or whole numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from schemas.event_schemas import PREDICTION_CHANGE, REVISION_SCORE, load

_SOURCES = ("/mediawiki/revision/create/2.0.0", "/mediawiki/page/change/1.2.0")


def field_of(column: str) -> str:
    """Returns the name of the field that a column holds."""
    return "$schema" if column == "_schema" else column


@cache
def fields_known() -> frozenset[str]:
    """Returns the names of the fields at the top of any event that is read."""
    return frozenset(
        name for uri in (*_SOURCES, REVISION_SCORE, PREDICTION_CHANGE) for name in load(uri)["properties"]
    )


@cache
def whole_numbers() -> frozenset[str]:
    """Returns the names of the fields of source events that are whole numbers."""
    return frozenset(
        name for uri in _SOURCES for name, field in _below(load(uri)) if field.get("type") == "integer"
    )


@cache
def times() -> frozenset[str]:
    """Returns the names of the fields of source events that are times."""
    return frozenset(
        name for uri in _SOURCES for name, field in _below(load(uri)) if field.get("format") == "date-time"
    )


def _below(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, field in (schema.get("properties") or {}).items():
        yield name, field
        yield from _below(field)
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from _below(schema["additionalProperties"])
