"""How far streams of EventStreams are read, and the request that goes on from there.

An event's id names the place in each topic behind it, by a time that is one millisecond late (KafkaSSE): who
resumes by it loses events. So places are taken from the events themselves, which carry topic, partition and
offset in `meta`; where they do not, from some time before.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, TypeGuard

import orjson

from transforms.http.server_sent_events import ServerSentEvent

_OVERLAP_S = 2.0  # what is read again where there is no offset


@dataclass
class Position:
    """How far a reader has come, as JSON can hold it."""

    offsets: dict[str, int] = field(default_factory=dict)  # the next, by "topic partition"
    places: list[dict[str, Any]] = field(default_factory=list)  # of the last id
    newest: str | None = None  # `meta.dt` of the last event
    since: str | None = None  # where to begin before there is any

    def note(self, event: ServerSentEvent, raw: Mapping[str, Any]) -> None:
        """Moves past an event; `raw`: what its data say."""
        with suppress(orjson.JSONDecodeError):
            places = orjson.loads(event.id) if event.id else []
            if isinstance(places, list) and places and all(map(_is_place, places)):
                self.places = places
        meta = raw.get("meta")
        if isinstance(meta, Mapping):
            if _is_count(offset := meta.get("offset")):
                self.offsets[f"{meta.get('topic')} {meta.get('partition')}"] = offset + 1
            self.newest = str(meta.get("dt") or self.newest)

    def resume(self, *, by_time: bool = False) -> tuple[dict[str, str], dict[str, str]]:
        """Returns headers and query of a request that goes on from here; `by_time`: it names no places."""
        if self.places and self.offsets and not by_time:
            return {"Last-Event-ID": orjson.dumps([self._place(place) for place in self.places]).decode()}, {}
        if (newest := _time(self.newest)) is not None:
            return {}, {
                "since": (newest - timedelta(seconds=_OVERLAP_S))
                .isoformat(timespec="milliseconds")
                .replace("+00:00", "Z")
            }
        return {}, {"since": self.since} if self.since else {}

    def _place(self, place: Mapping[str, Any]) -> dict[str, Any]:
        named = {"topic": place["topic"], "partition": place.get("partition", 0)}
        offset = self.offsets.get(f"{named['topic']} {named['partition']}", place.get("offset", -1))
        if offset >= 0:
            return {**named, "offset": offset}
        # nothing came of this topic yet; what comes meanwhile is not to be lost
        newest = _time(self.newest) or datetime.now(timezone.utc)
        late = place.get("timestamp", newest.timestamp() * 1000)
        return {**named, "timestamp": int(min(late, newest.timestamp() * 1000) - _OVERLAP_S * 1000)}


def _is_place(place: Any) -> bool:
    if (
        not isinstance(place, dict)
        or not isinstance(place.get("topic"), str)
        or not _is_count(place.get("partition", 0))
    ):
        return False
    return (_is_count(place.get("offset", 0)) or place["offset"] == -1) and _is_count(
        place.get("timestamp", 0)
    )


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**63


def _time(dt: str | None) -> datetime | None:
    """Returns a time from which one can go on, at the latest now; None for one before there were computers,
    and for what is no time."""
    with suppress(ValueError, TypeError, OverflowError):
        found = datetime.fromisoformat((dt or "").replace("Z", "+00:00"))
        found = (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
        return min(found, datetime.now(timezone.utc)) if found.year >= 1970 else None
    return None
