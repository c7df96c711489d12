"""Values of Python in types of JSON: a time is ISO 8601 in UTC, a whole decimal is a whole number, bytes are
text; NaN and null are no value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from schemas.field_names import field_of, fields_known, times, whole_numbers

_TIME = re.compile(r"([+-]?\d{4,}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d(?:\.\d+)?)(Z| UTC|[+-]\d\d:?\d\d)?)?")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In place of a value that cannot be read."""

    reason: str


def value_or_why(convert: Callable[[Any, str], Any], value: Any, name: str) -> Any:
    """Returns the value, or why it cannot be read; None where no event has such a field."""
    try:
        return convert(value, name)
    except Exception as error:  # whatever the library makes of it
        return (
            Unreadable(f"{type(error).__name__}: {error}"[:300]) if field_of(name) in fields_known() else None
        )


def of_python(value: Any, name: str) -> Any:
    """Returns the value in a type of JSON; None for what is no value. Raises ValueError for bytes that are no
    text."""
    kind = type(value)
    if kind is str:
        if not value.isascii():
            value.encode()  # raises for what was no UTF-8
        return iso(value) if value[10:11] == " " and name in times() else value
    if kind is int or kind is bool or value is None:
        return value
    if kind is dict:
        inner = {
            _text(key): each
            for key, each_value in value.items()
            if (each := of_python(each_value, key)) is not None
        }
        return inner or (None if value else inner)
    if kind is list or kind is tuple:
        return [each for each_value in value if (each := of_python(each_value, name)) is not None]
    if kind is float or kind is Decimal:
        return _number(value, name)
    if kind is bytes:
        return value.decode()
    return iso(value.isoformat()) if isinstance(value, date) else str(value)


def _text(key: Any) -> str:
    return key if type(key) is str else key.decode() if type(key) is bytes else str(key)


def _number(value: float | Decimal, name: str) -> int | float | None:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if math.isnan(value):
        return None
    return int(value) if name in whole_numbers() and value.is_integer() else float(value)


def iso(value: str) -> str:
    """Returns a time as ISO 8601: of 2024-02-05 00:00:00.120000Z 2024-02-05T00:00:00.12Z. Takes one without a
    zone for UTC, and leaves what is no time as it is."""
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
