"""Checks of values against JSON schemas, as the hot path needs them: nearly all values are valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema
from jsonschema_rs import Draft7Validator

Check = Callable[[Any], object]

# Formats as nearly all values have them: libraries differ at the edges of a format, and fastjsonschema's are
# the ones that count.
_DAY = "(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31"
_USUAL = {
    "date-time": rf"^[0-9]{{4}}-({_DAY})T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?Z$",
    "uri-reference": r"^https?://[!\x22$-\x5b\x5d-~]+$",  # printable ASCII without # and backslash
}


def compile_check(schema: Mapping[str, Any]) -> Check:
    """Returns a check of values against a schema of draft 7. It raises fastjsonschema.JsonSchemaException,
    with the field and the rule it breaks.

    fastjsonschema decides and words errors. What `is_usual` tells to be valid is not shown to it, as that
    takes a fifth of its time.
    """
    is_usual, check = usual_test(schema), fastjsonschema.compile(dict(schema))
    return lambda value: is_usual(value) or check(value)


def usual_test(schema: Mapping[str, Any]) -> Callable[[Any], bool]:
    """Returns a test that most valid values pass, and no others."""
    is_valid = Draft7Validator(_of_usual_formats(schema), validate_formats=False).is_valid

    def test(value: Any) -> bool:
        try:
            return is_valid(value)
        except ValueError:  # a value that JSON has no form for
            return False

    return test


def _of_usual_formats(schema: Any) -> Any:
    """Returns the schema with a pattern for each format; nothing passes a format without one."""
    if isinstance(schema, list):
        return [_of_usual_formats(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    inner = {
        key: _of_usual_formats(value)
        for key, value in schema.items()
        if key != "format" or not isinstance(value, str)
    }
    if isinstance(schema.get("format"), str):
        pattern = _USUAL.get(schema["format"])
        inner |= {"allOf": [{"pattern": pattern} if pattern else False]}
    return inner
