"""JSON of others: read as JavaScript reads it, and written whatever the value holds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

_REPLACEMENT = "\ufffd"
_ESCAPE = re.compile(
    r"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_DEEPEST = 200  # levels; far more than any event has
_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1  # that orjson reads as one


def loads(text: bytes | str) -> Any:
    """Returns the value of a JSON text. Bytes that are no UTF-8 and halves of surrogate pairs become U+FFFD,
    as `Buffer.toString` and `JSON.parse` of Node.js let them pass. Raises orjson.JSONDecodeError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        letters = text.decode("utf-8", "replace") if isinstance(text, bytes) else well_formed(text)
        repaired = _ESCAPE.sub(lambda escape: "\\ufffd" if escape[2] else escape[0], letters)
        if repaired == text or (isinstance(text, bytes) and repaired.encode() == text):
            raise
    return orjson.loads(repaired)


def well_formed(text: str) -> str:
    """Returns the text with U+FFFD for each half of a surrogate pair, which UTF-8 has no form for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_REPLACEMENT if "\ud800" <= letter <= "\udfff" else letter for letter in text)
    return text


def json_text(value: Mapping[str, Any]) -> str:
    """Returns the mapping as JSON; what JSON has no form for (a date of a Parquet file, a key of bytes) as
    text. Never raises for what a source can find."""
    try:
        return orjson.dumps(value, default=str).decode()
    # a lone surrogate, an integer of more than 64 bits, a key that is no text, too many levels
    except TypeError:
        return json.dumps(_plain(value, _DEEPEST))


def _plain(value: Any, levels: int) -> Any:
    """Returns the value in types that every reader of JSON takes."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping | list | tuple) and not levels:
        return "..."
    if isinstance(value, Mapping):
        return {_key(key): _plain(below, levels - 1) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, levels - 1) for item in value]
    return _text(value)


def _key(key: object) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else _text(key)


def _text(value: object) -> str:
    try:
        return well_formed(str(value))
    except Exception:  # a foreign object that has no text
        return f"<{type(value).__name__}>"
