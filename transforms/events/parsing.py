"""Events in texts and rows, and which of them are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

import schemas
from transforms.elements import SourceRecord
from transforms.events.json_text import loads
from transforms.events.source_events import (
    PAGE_CHANGE,
    REVISION_CREATE,
    is_of_history,
    rev_id_of,
    source_with,
    stream_of,
)

CANARY = "canary event"
_SCHEMAS_EXPECTED = "/mediawiki/revision/create/1.x or 2.x, or /mediawiki/page/change/1.x"
# bytes; what becomes of it must fit in the million that a Kafka broker takes by default. Real events have a
# few thousand.
_LARGEST_EVENT = 400_000
# levels of lists and objects; orjson reads 1,024 and writes 254, and state and streams need some around an
# event
_DEEPEST = 200
_LARGEST_INTEGER = 2**53 - 1  # of every integer in these schemas


class NotAnEventError(ValueError):
    """A text or mapping that is no event that can be scored; the message says what was found and what was
    expected."""


def parse(text: bytes | str) -> Mapping[str, Any]:
    """Returns the JSON object in a text; of a row of a table, the event. Raises NotAnEventError."""
    try:
        raw = loads(text)
    except orjson.JSONDecodeError as error:
        raise NotAnEventError(f"not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise NotAnEventError(f"expected a JSON object, got {type(raw).__name__}")
    brackets = (
        text.count(b"[") + text.count(b"{") if isinstance(text, bytes) else text.count("[") + text.count("{")
    )
    if brackets > _DEEPEST and _is_deeper(raw, _DEEPEST):
        raise NotAnEventError(f"expected JSON of at most {_DEEPEST} levels")
    return _event_of_row(raw) if "_schema" in raw and "$schema" not in raw else raw


def _event_of_row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the event of a row of a table that was written as JSON. Raises NotAnEventError."""
    event = schemas.event_of_record(row)
    if isinstance(event, schemas.BadRow):
        raise NotAnEventError(event.reason)
    return event


def _is_deeper(value: Any, levels: int) -> bool:
    """Returns whether a value has more levels of lists and objects than that. Goes level by level, as a
    recursion of 200 would need most of Python's stack."""
    level = [value]
    for _ in range(levels):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def check(raw: Mapping[str, Any]) -> None:
    """Raises NotAnEventError unless `raw` says what a score needs: its schema, its wiki, its revision. The
    rest is checked against the schema of the score."""
    of_page_change = _source(raw) == PAGE_CHANGE
    wiki = raw.get("wiki_id" if of_page_change else "database")
    if not isinstance(wiki, str) or not wiki:
        raise NotAnEventError(
            f"{'wiki_id' if of_page_change else 'database'}: expected the name of a wiki, got {_shown(wiki)}"
        )
    rev_id = rev_id_of(raw)
    if type(rev_id) is not int or not 0 <= rev_id <= _LARGEST_INTEGER:
        raise NotAnEventError(
            f"{'revision.rev_id' if of_page_change else 'rev_id'}: expected a whole number, got "
            f"{_shown(rev_id)}"
        )


def _source(raw: Mapping[str, Any]) -> str:
    schema = raw.get("$schema")
    if schema is None:
        if is_of_history(raw):
            return REVISION_CREATE
        raise NotAnEventError(f"no $schema; expected {_SCHEMAS_EXPECTED}")
    source = source_with(schema) if isinstance(schema, str) else None
    if source is None:
        raise NotAnEventError(f"unknown $schema {_shown(schema)}; expected {_SCHEMAS_EXPECTED}")
    return source


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:100]


def is_canary(raw: Mapping[str, Any]) -> bool:
    """Returns whether the event is one of those that only show that the stream is alive."""
    meta = raw.get("meta")
    return isinstance(meta, dict) and meta.get("domain") == "canary"


def why_dropped(raw: Mapping[str, Any]) -> str | None:
    """Returns why an event is no edit to be scored and no failure either; None when it is an edit."""
    if is_canary(raw):
        return CANARY
    # lib/base_executor.js of ChangeProp reads `meta.stream` of each message before any rule, and drops what
    # has none
    if stream_of(raw) is None:
        return "no meta.stream"
    return None


def event_in(element: SourceRecord) -> Mapping[str, Any]:
    """Returns the event that a source found, canary events included. Raises NotAnEventError."""
    if element.problem:
        raise NotAnEventError(element.problem)
    raw = _event_in_bytes(element.data, element.origin) if isinstance(element.data, bytes) else element.data
    if not is_canary(raw):
        check(raw)
    return raw


def _event_in_bytes(data: bytes, origin: str) -> Mapping[str, Any]:
    """Returns the event in bytes. `origin`: the file that they are of, for the message; empty for a message
    of Kafka. Raises NotAnEventError."""
    try:
        if len(data) > _LARGEST_EVENT:
            raise NotAnEventError(f"expected an event of at most {_LARGEST_EVENT} bytes, got {len(data)}")
        return parse(data)
    except NotAnEventError as error:
        raise NotAnEventError(f"{origin}: {error}" if origin else str(error)) from error
