"""A quick test of a JSON schema, for what is almost always valid: whatever passes it is, whatever does not may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Test = Callable[[Any], bool]

_USUAL_TIME = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z")
_USUAL_ADDRESS = re.compile(r"https?://[^#\\\s]+")
_SAYS_NOTHING = {"description", "title", "examples", "default", "$comment"}
_KNOWN = {  # keywords of a type; a field with another passes no test
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "boolean": set[str](),
    "string": {"minLength", "maxLength", "format"},
    "array": {"items"},
    "object": {"properties", "required"},
}


def surely_valid(schema: Mapping[str, Any]) -> Test:
    """Returns a test of values; one that nothing passes where the schema says more than this knows of. A null is no value."""
    types = schema.get("type")
    (kind, *others) = [each for each in types if each != "null"] if isinstance(types, list) else [types]
    if others or kind not in _KNOWN or schema.keys() - {"type"} - _SAYS_NOTHING - _KNOWN[kind]:
        return lambda value: False
    return _TESTS[kind](schema)


def is_usual_time(value: Any) -> bool:
    """Whether it is a time of the calendar, to the second and in UTC, as nearly all are."""
    if type(value) is not str or not _USUAL_TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value[:-1])
    except ValueError:
        return False
    return True


def _is_usual_address(value: Any) -> bool:
    return type(value) is str and _USUAL_ADDRESS.fullmatch(value) is not None


def _integer(schema: Mapping[str, Any]) -> Test:
    least, most = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    return lambda value: type(value) is int and least <= value <= most


def _number(schema: Mapping[str, Any]) -> Test:
    least, most = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    return lambda value: type(value) in (int, float) and least <= value <= most


def _boolean(_: Mapping[str, Any]) -> Test:
    return lambda value: type(value) is bool


def _string(schema: Mapping[str, Any]) -> Test:
    least, most = schema.get("minLength", 0), schema.get("maxLength", float("inf"))
    if "format" in schema:
        usual = _USUAL.get(schema["format"], lambda value: False)
        return lambda value: usual(value) and least <= len(value) <= most
    return lambda value: type(value) is str and least <= len(value) <= most


def _array(schema: Mapping[str, Any]) -> Test:
    items = surely_valid(schema.get("items", {}))
    return lambda value: type(value) is list and all(map(items, value))


def _object(schema: Mapping[str, Any]) -> Test:
    required = frozenset(schema.get("required", ()))
    tests = [(name, surely_valid(field), name in required) for name, field in schema.get("properties", {}).items()]

    def test(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for name, is_valid, is_required in tests:
            found = value.get(name)
            if found is None:
                if is_required or name in value:
                    return False
            elif not is_valid(found):
                return False
        return True

    return test


_USUAL: Mapping[str, Test] = {"date-time": is_usual_time, "uri-reference": _is_usual_address}  # what has the format most often
_TESTS: Mapping[str, Callable[[Mapping[str, Any]], Test]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "string": _string,
    "array": _array,
    "object": _object,
}
