"""Whether an event can become a score, before anybody is asked for one: what a score takes over of it, held
against the score's own schema; and which fields of it that takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import fastjsonschema

import schemas
from schemas.hive_layout import partition_at
from schemas.validation import Check, compile_check
from transforms.events.score_events import as_revision, fields_needed, fields_taken_over
from transforms.events.source_events import IDENTITY, PAGE_CHANGE, edit_time, source_of
from transforms.models.model import Model
from transforms.models.rules import fields_of


def fields_to_read(models: Iterable[Model]) -> frozenset[str]:
    """Returns the fields of events, of whatever kind, that these models and their rules look at."""
    return IDENTITY.union(
        *(fields_needed(model.source) | fields_of(model.match, model.match_not) for model in models)
    )


def why_no_score(raw: Mapping[str, Any], schema: str) -> str | None:
    """Returns why no event with this schema can be made of a source event, or None. It sees what
    BuildRevisionScore would, but for the score itself."""
    try:
        dt = edit_time(raw)
        of_revision = schema == schemas.REVISION_SCORE and source_of(raw) == PAGE_CHANGE
        found = as_revision(raw) if of_revision else raw
        _check(schema)({**found, "dt": dt, "meta": raw.get("meta")})
    except fastjsonschema.JsonSchemaException as error:
        return f"cannot become a score: {error.message.removeprefix('data.')}"
    except AttributeError:  # a part that should be an object
        return "cannot become a score: meta, page, revision and performer must be objects"
    try:
        partition_at("eqiad", dt)
    except (ValueError, TypeError, OverflowError):  # the schema lets times pass that no calendar has
        return f"cannot become a score: dt must be a time, got {dt!r:.100}"
    return None


@cache
def _check(schema: str) -> Check:
    """Returns a check of what a score takes over of an event."""
    checked, required = _taken_over(schema)
    return compile_check({"type": "object", "properties": checked, "required": sorted({"dt", *required})})


def _taken_over(schema: str) -> tuple[dict[str, Any], list[str]]:
    """Returns the schemas of the fields that a score takes over, and which of these it needs."""
    properties = schemas.load(schema)["properties"]
    taken, of_meta = fields_taken_over(schema)
    checked = {name: _or_null(field) for name, field in properties.items() if name in taken}
    checked["dt"] = properties["dt"]
    checked["meta"] = _or_null(
        {"type": "object", "properties": {name: properties["meta"]["properties"][name] for name in of_meta}}
    )
    if "performer" in checked and schema == schemas.REVISION_SCORE:
        checked["performer"].pop("required", None)  # one whose name is suppressed is not taken over
    return checked, [name for name in schemas.load(schema).get("required", ()) if name in taken]


def _or_null(field: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the field as it may be in a source event: with null for no value, and with fields that are not
    taken over."""
    allowed = {
        key: value
        for key, value in field.items()
        if key not in ("additionalProperties", "examples", "default") or isinstance(value, Mapping)
    }
    if "properties" in field:
        required = field.get("required", ())
        allowed["properties"] = {
            name: inner if name in required else _or_null(inner)
            for name, inner in field["properties"].items()
        }
    if isinstance(field.get("type"), str) and "enum" not in field and "const" not in field:
        allowed["type"] = [field["type"], "null"]
    return allowed
