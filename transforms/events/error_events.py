"""A failure as an `/error/2.1.0` event with the original, the dead letter that goes to the failure stream."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from apache_beam.metrics import Metrics

import schemas
from transforms.elements import Failure, OutputEvent
from transforms.events.json_text import well_formed
from transforms.worker.fuse import is_of_an_element
from transforms.worker.unforeseen import reason_of

EMITTER = "revision-scores"
# at the end of a message whose raw_event has only the beginning of the original
CUT = "; the original was cut"
_LONGEST_TEXT = 1_000  # characters of what is taken out of an original
# bytes as JSON; a Kafka broker takes a million by default, and schema and stream of the original come beside
# it
_LARGEST_ORIGINAL = 500_000
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/wikimedia/schemas-event-primary" + schemas.ERROR)


def failed(failure: Failure, stream: str, now: str) -> OutputEvent:
    """Returns a failure on its way to the failure stream; where an unforeseen exception is met, with the
    least that a failure says. `now`: its time, ISO 8601."""
    try:
        body = error_event(failure, stream, now)
        schemas.validator(schemas.ERROR)(body)
        orjson.dumps(body)
    except Exception as error:
        if not is_of_an_element(error):
            raise
        Metrics.counter("WriteFailures", "unforeseen").inc()
        body = _least_event(failure, stream, now, error)
    return OutputEvent(stream, body, failure.datacenter, failure.partition, failure=failure)


def error_event(failure: Failure, stream: str, now: str) -> dict[str, Any]:
    """Returns the failure as an event of the failure stream; the same failure of the same original has the
    same `meta.id`."""
    original = well_formed(failure.original)
    text = _cut(original)
    event = {
        **_base_event(failure, stream, now, original),
        "message": well_formed(failure.reason)[:_LONGEST_TEXT] + (CUT if len(text) < len(original) else ""),
        "raw_event": text,
    }
    errored = _object_in(text)
    meta = errored.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    if _is_text(errored.get("$schema")):
        event["errored_schema_uri"] = errored["$schema"]
    if _is_text(meta.get("stream")):
        event["errored_stream_name"] = meta["stream"]
    event["meta"].update((name, meta[name]) for name in ("request_id", "domain") if _is_text(meta.get(name)))
    return event


def _base_event(failure: Failure, stream: str, now: str, original: str) -> dict[str, Any]:
    return {
        "$schema": schemas.ERROR,
        "dt": now,
        "meta": {
            "stream": stream,
            "id": str(uuid.uuid5(_IDS, f"{failure.step} {failure.model} {original}")),
            "dt": now,
        },
        "emitter_id": EMITTER,
        "error_type": f"{failure.step}/{failure.model}" if failure.model else failure.step,
    }


def _object_in(text: str) -> Mapping[str, Any]:
    """Returns the JSON object in a text; an empty one where there is none."""
    with suppress(orjson.JSONDecodeError):
        value = orjson.loads(text)
        return value if isinstance(value, dict) else {}
    return {}


def _least_event(failure: Failure, stream: str, now: str, error: Exception) -> dict[str, Any]:
    """Returns what can be said of any failure: its step, its reason and that of the second one, and the
    original in ASCII as Python writes it."""
    original = ascii(failure.original)[:_LARGEST_ORIGINAL]
    return {
        **_base_event(failure, stream, now, original),
        "message": f"{ascii(failure.reason)[:_LONGEST_TEXT]}; its event: {ascii(reason_of(error))}",
        "raw_event": original,
    }


def origin_of(error: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the step that gave up, and the model; empty where there was none yet."""
    step, _, model = error["error_type"].partition("/")
    return step, model


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT


def _cut(original: str) -> str:
    """Returns the original, or as much of its beginning as a message can carry."""
    while len(orjson.dumps(original)) > _LARGEST_ORIGINAL:
        original = original[: len(original) // 2]
    return original


def shortened(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns an error event with half of its original; None when nothing is left of it."""
    text = event["raw_event"]
    message = event["message"].removesuffix(CUT) + CUT
    return {**event, "raw_event": text[: len(text) // 2], "message": message} if text else None


def alike(error: Mapping[str, Any]) -> str:
    """Returns the message of an error event without what differs between failures of one reason: the
    revision, the number of tries, the place in a text."""
    reason: str = re.sub(rf"( \(\d+ tries\))?({CUT})?$", "", error["message"])
    # there is no revision yet, but there are files with numbers in their names
    if error["error_type"] == "ReadEvents":
        return re.sub(r": line \d+ column \d+ \(char \d+\)$", "", reason)
    return re.sub(r"\b\d{5,}\b", "N", reason)
