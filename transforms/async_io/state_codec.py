"""Requests at rest in Flink's state, in a format that outlives a change of this code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from transforms.async_io.pending_request import PendingRequest
from transforms.elements import ScoreRequest
from transforms.events.json_text import json_text
from transforms.events.source_events import event_of

_VERSION = 1  # each version of this code reads the one before, too


class UnknownFormatError(RuntimeError):
    """The state was written by a later version of this code."""


def encode_pending(pending: Iterable[PendingRequest]) -> bytes:
    """Returns requests as they rest in state: JSON, each event once."""
    events: dict[int, dict[str, Any]] = {}
    for each in pending:
        event = each.request.event
        if id(event) not in events:
            events[id(event)] = {
                "event": event.raw,
                "datacenter": event.datacenter,
                "partition": event.partition,
                "requests": [],
            }
        events[id(event)]["requests"].append(_encoded(each))
    value = {"v": _VERSION, "events": list(events.values())}
    try:
        return orjson.dumps(value)
    except TypeError:  # an event with what JSON has no form for
        return json_text(value).encode()


def _encoded(pending: PendingRequest) -> dict[str, Any]:
    request = pending.request
    return {
        "model": request.model,
        # of the event, too; here for the version before, which reads them of each request
        "wiki": request.wiki,
        "rev_id": request.rev_id,
        "entered_at": pending.entered_at,
        "asked_at": pending.asked_at,
        "tries": pending.tries,
        "strikes": pending.strikes,
        "due": pending.due,
        "reason": pending.reason,
    }


def decode_pending(encoded: bytes) -> list[PendingRequest]:
    """Returns what `encode_pending` wrote. Raises UnknownFormatError for what a later version wrote."""
    value = orjson.loads(encoded)
    if not isinstance(value, dict) or value.get("v") != _VERSION:
        raise UnknownFormatError(
            f"expected waiting requests in format {_VERSION}, got {encoded[:20]!r}; go on with the version "
            "that wrote this state"
        )
    pending = []
    for of_event in value["events"]:
        event = event_of(of_event["event"], of_event["datacenter"], of_event["partition"])
        for told in of_event["requests"]:
            request = ScoreRequest(event, told["model"])
            pending.append(
                PendingRequest(
                    request,
                    told["entered_at"],
                    told["asked_at"],
                    told["tries"],
                    told["strikes"],
                    told["due"],
                    told["reason"],
                )
            )
    return pending
