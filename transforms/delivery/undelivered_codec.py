"""The formats of events that a stream did not take, as they rest in Flink's state, and of what their timer
says of them, so that they need not be read while the stream still takes none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from transforms.delivery.deliveries import stream_of
from transforms.elements import OutputEvent, ScoreRequest
from transforms.events.source_events import event_of

_VERSION = 1  # of both formats; a later version of this program reads them too


def encode_events(events: Iterable[OutputEvent]) -> bytes:
    """Returns events as they rest in state, each with the event it was made of, for the failure that it may
    become."""
    return orjson.dumps([_VERSION, [_encoded(event) for event in events]])


def decode_events(encoded: bytes) -> list[OutputEvent]:
    """Returns what `encode_events` wrote."""
    _version, events = orjson.loads(encoded)
    return [_decoded(event) for event in events]


def _encoded(event: OutputEvent) -> dict[str, Any]:
    fields: dict[str, Any] = {"stream": event.stream, "datacenter": event.datacenter, "body": event.body}
    if event.request:
        fields |= {"model": event.request.model, "event": event.request.event.raw}
    return fields


def _decoded(fields: Mapping[str, Any]) -> OutputEvent:
    request = None
    if "event" in fields:
        request = ScoreRequest(event_of(fields["event"], fields["datacenter"]), fields["model"])
    return OutputEvent(fields["stream"], fields["body"], fields["datacenter"], None, request)


def encode_tag(waiting: Mapping[str, int]) -> str:
    """Returns what a timer says of its key: how many events wait, by stream."""
    return orjson.dumps([_VERSION, waiting]).decode()


def decode_tag(encoded: str) -> dict[str, int]:
    """Returns what `encode_tag` wrote."""
    _version, waiting = orjson.loads(encoded)
    return dict(waiting)


def counted(events: Iterable[OutputEvent]) -> Counter[str]:
    """Returns how many there are, by stream."""
    return Counter(map(stream_of, events))
