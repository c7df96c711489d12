"""Values of JSON as JavaScript looks at them: properties, truth and identity."""

from __future__ import annotations

from typing import Any

UNDEFINED = object()  # which is not null


def property_of(value: Any, key: str) -> Any:
    """Returns a property, of texts and lists too; UNDEFINED where there is none."""
    if isinstance(value, dict):
        return value.get(key, UNDEFINED)
    if isinstance(value, list | str):
        if key == "length":
            return (
                len(value)
                if isinstance(value, list)
                else len(value.encode("utf-16-le", "surrogatepass")) // 2
            )
        if key.isdecimal() and int(key) < len(value):
            return value[int(key)]
    return UNDEFINED


def is_truthy(value: Any) -> bool:
    """Returns JavaScript's truth: an empty list or mapping is true, 0, "", null and undefined are false."""
    return value is not UNDEFINED and (isinstance(value, dict | list) or bool(value))


def is_identical(value: Any, wanted: Any) -> bool:
    """Returns JavaScript's `===`: true is not 1, 1 is 1.0."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted)
