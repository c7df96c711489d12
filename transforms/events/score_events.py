"""Builds the event of a model's score, out of a source event and the score. Without Beam.

As python/events.py of wikimedia/machinelearning-liftwing-inference-services builds them, but for their
`meta.id`, which follows from what was scored and why, so that consumers find what was done twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import cache
from typing import Any, NamedTuple

import schemas
from transforms.elements import Score
from transforms.events.source_events import REVISION_CREATE, edit_time, id_of, rev_id_of, source_of, wiki_of

_IDS = uuid.uuid5(
    uuid.NAMESPACE_URL, "https://github.com/wikimedia/schemas-event-primary" + schemas.REVISION_SCORE
)

# All that the schema lets an event take over (additionalProperties: false).
_PROPERTIES = schemas.load(schemas.REVISION_SCORE)["properties"]
_COPIED = [name for name in _PROPERTIES if name.startswith(("page_", "rev_")) or name == "database"]
_OF_REVISION = [*_COPIED, "performer"]
_COPIED_OF_META = [
    name for name in _PROPERTIES["meta"]["properties"] if name in ("request_id", "domain", "uri")
]
_COPIED_OF_PERFORMER = list(_PROPERTIES["performer"]["properties"])
_OF_CHANGE = [
    name
    for name in schemas.load(schemas.PREDICTION_CHANGE)["properties"]
    if name not in ("$schema", "meta", "dt", "predicted_classification")
]


class ScoreStream(NamedTuple):
    """Where the events of one model's scores go, and which schema they have there."""

    model: str
    stream: str
    schema: str = schemas.REVISION_SCORE


def revision_score(raw: Mapping[str, Any], to: ScoreStream, score: Score, now: str) -> dict[str, Any]:
    """Returns the event of one model's score of a source event; `now` is its `meta.dt`. Raises
    InvalidEventError where a part that must be an object is not."""
    event = common_fields(raw, to.schema, to.stream, now)
    event["scores"] = {
        to.model: {
            "model_name": to.model,
            "model_version": score.model_version,
            "prediction": predictions(score.prediction),
            "probability": score.probability,
        }
    }
    return event


def common_fields(raw: Mapping[str, Any], schema: str, stream: str, now: str) -> dict[str, Any]:
    """Returns what the events of all models say of a revision; `raw` is a source event or a score, `now` the
    `meta.dt`. Raises what `revision_score` raises."""
    event = _base_event(raw, schema, stream, now)
    revision = raw if source_of(raw) == REVISION_CREATE else as_revision(raw)
    event.update((name, _as_int(revision[name])) for name in _COPIED if revision.get(name) is not None)
    performer = revision.get("performer")
    # else the name is suppressed, and the schema has no performer without
    if performer is not None and performer.get("user_text") is not None:
        event["performer"] = {
            name: _as_int(performer[name]) for name in _COPIED_OF_PERFORMER if performer.get(name) is not None
        }
    return event


def prediction_change(raw: Mapping[str, Any], to: ScoreStream, score: Score, now: str) -> dict[str, Any]:
    """Returns a page change with what one model predicts of its revision; `now` is its `meta.dt`. What the
    schema does not know is left out. Raises what `revision_score` raises."""
    event = _base_event(raw, to.schema, to.stream, now)
    allowed = _allowed(to.schema)
    event.update((name, allowed[name](raw[name])) for name in _OF_CHANGE if raw.get(name) is not None)
    event["predicted_classification"] = {
        "model_name": to.model,
        "model_version": score.model_version,
        "predictions": predictions(score.prediction),
        "probabilities": score.probability,
    }
    return event


def fields_needed(source: str) -> frozenset[str]:
    """Returns the fields of a kind of event (`source`: a key of STREAMS) that a score is made of, beside
    those that identify the event."""
    return frozenset(_OF_REVISION if source == REVISION_CREATE else _OF_CHANGE)


def fields_taken_over(schema: str) -> tuple[list[str], list[str]]:
    """Returns the fields of an event, and those of its `meta`, that an event with this schema takes over from
    it."""
    return (_OF_REVISION if schema == schemas.REVISION_SCORE else _OF_CHANGE), _COPIED_OF_META


def score_id(raw: Mapping[str, Any], stream: str) -> str:
    """Returns the `meta.id` of an event's score in a stream, the same whenever it is made again."""
    return str(uuid.uuid5(_IDS, f"{stream} {wiki_of(raw)} {rev_id_of(raw)} {id_of(raw)}"))


def predictions(prediction: bool | str | list[str]) -> list[str]:
    """Returns a prediction of Lift Wing's, such as true, "Stub" or ["STEM.STEM*"], as the list of strings
    that the schemas want."""
    if isinstance(prediction, bool):
        return ["true" if prediction else "false"]
    return [prediction] if isinstance(prediction, str) else prediction


def utc_now() -> str:
    """Returns the time now in ISO 8601, in microseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _base_event(raw: Mapping[str, Any], schema: str, stream: str, now: str) -> dict[str, Any]:
    """Returns what scores and page changes have in common. Raises InvalidEventError for a part that is no
    object, of which nothing can be taken over; the rest is the validator's to find."""
    for name in ("meta", "performer", "page", "revision"):
        part = raw.get(name)
        if part is not None and not isinstance(part, dict):
            raise schemas.InvalidEventError(f"{name} must be an object, got {raw[name]!r:.100}")
    meta = raw.get("meta") or {}
    return {
        "$schema": schema,
        "dt": edit_time(raw),
        "meta": {
            "stream": stream,
            "id": score_id(raw, stream),
            "dt": now,
            **{name: meta[name] for name in _COPIED_OF_META if meta.get(name) is not None},
        },
    }


def as_revision(change: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a page change in the fields of a revision-create."""
    page, revision, performer = (change.get(name) or {} for name in ("page", "revision", "performer"))
    fields: dict[str, Any] = {"database": change.get("wiki_id"), "rev_timestamp": revision.get("rev_dt")}
    fields |= {name: page.get(name) for name in ("page_id", "page_title")}
    fields |= {"page_namespace": page.get("namespace_id"), "page_is_redirect": page.get("is_redirect")}
    fields |= {name: revision.get(name) for name in ("rev_id", "rev_parent_id")}
    if change.get("performer") is not None:
        fields["performer"] = {
            name: performer.get(name.removeprefix("user_")) for name in _COPIED_OF_PERFORMER
        }
        fields["performer"] |= {name: performer.get(name) for name in ("user_text", "user_id")}
    return fields


def _as_int(value: Any) -> Any:
    """JSON Schema takes 5.0 for a whole number; tables do not."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def _allowed(schema: str) -> Mapping[str, Callable[[Any], Any]]:
    """Returns for each field of a schema a function that drops from its value what the schema does not
    know."""
    return {name: _pruner(field) for name, field in schemas.load(schema)["properties"].items()}


def _pruner(field: Mapping[str, Any]) -> Callable[[Any], Any]:
    if "properties" not in field:
        return _as_int
    inner = {name: _pruner(below) for name, below in field["properties"].items()}

    def pruned(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: prune(value[name]) for name, prune in inner.items() if value.get(name) is not None}

    return pruned
