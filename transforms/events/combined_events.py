"""The legacy combined event: what all models said of one revision, as `mediawiki.revision-score` had it until
2023.

What has no score is in `errors`; either is left out when it is empty, as ChangeProp did
(sys/ores_updates.js).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import schemas
from transforms.events.score_events import common_fields

STREAM = "mediawiki.revision-score"
SCHEMAS = {version: f"/mediawiki/revision/score/{version}" for version in ("2.0.0", "3.0.0")}
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/wikimedia/schemas-event-primary" + STREAM)


class Part(NamedTuple):
    """What became of one request: the score event, or why there is none."""

    model: str
    event: Mapping[str, Any]  # the score event, or the source event
    error_type: str = ""
    message: str = ""

    @property
    def is_score(self) -> bool:
        return not self.error_type


def combined_score(parts: Sequence[Part], schema: str, now: str) -> dict[str, Any]:
    """Returns one event of the parts of a revision; of two of one model the score, or the later one.
    `schema`: one of SCHEMAS; `now`: its `meta.dt`. Raises InvalidEventError when there is no score and no
    event can be made of the source event."""
    by_model = {part.model: part for part in sorted(parts, key=lambda part: part.is_score)}
    base = next((part.event for part in by_model.values() if part.is_score), parts[0].event)
    event = common_fields(base, schema, STREAM, now)
    event["meta"]["id"] = str(uuid.uuid5(_IDS, f"{event.get('database')} {event.get('rev_id')}"))
    if schema == SCHEMAS["2.0.0"]:  # there `meta.dt` is the time of the event
        event["meta"]["dt"] = event.pop("dt")
    if scores := {
        model: part.event["scores"][model] for model, part in sorted(by_model.items()) if part.is_score
    }:
        event["scores"] = scores
    if errors := {model: _error(part) for model, part in sorted(by_model.items()) if not part.is_score}:
        event["errors"] = errors
    schemas.validator(schema)(event)
    return event


def _error(part: Part) -> dict[str, str]:
    return {
        "model_name": part.model,
        "model_version": "unknown",
        "type": part.error_type,
        "message": part.message,
    }
