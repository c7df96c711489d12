"""The other fate of an element: a failure as an `/error/2.1.0` event, with the original, in the failure stream."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from transforms.elements import Failure

ERROR_SCHEMA = "/error/2.1.0"
_LARGEST_ORIGINAL = 500_000  # bytes as JSON; a Kafka broker takes a million by default, and schema and stream of the original come beside it
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/wikimedia/schemas-event-primary" + ERROR_SCHEMA)


def error_event(failure: Failure, stream: str, now: str) -> dict[str, Any]:
    """The failure as an event; the same failure of the same original has the same `meta.id`."""
    text = _cut(failure.original)
    event: dict[str, Any] = {
        "$schema": ERROR_SCHEMA,
        "dt": now,
        "meta": {"stream": stream, "id": str(uuid.uuid5(_IDS, f"{failure.step} {failure.model} {failure.original}")), "dt": now},
        "emitter_id": "revision-scores",
        "error_type": f"{failure.step}/{failure.model}" if failure.model else failure.step,
        "message": failure.reason,
        "raw_event": text,
    }
    try:
        original = orjson.loads(text)
    except orjson.JSONDecodeError:
        return event
    if isinstance(original, dict):
        meta = original.get("meta")
        meta = meta if isinstance(meta, dict) else {}
        if isinstance(original.get("$schema"), str):
            event["errored_schema_uri"] = original["$schema"]
        if isinstance(meta.get("stream"), str):
            event["errored_stream_name"] = meta["stream"]
        event["meta"].update((name, meta[name]) for name in ("request_id", "domain") if isinstance(meta.get(name), str) and meta[name])
    return event


def _cut(original: str) -> str:
    """The original, or as much of its beginning as a message can carry."""
    while len(orjson.dumps(original)) > _LARGEST_ORIGINAL:
        original = original[: len(original) // 2]
    return original
