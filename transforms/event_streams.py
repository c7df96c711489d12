"""Events from EventStreams (wikimedia/mediawiki-services-eventstreams): Kafka's topics by server-sent events, over a connection that breaks off every
quarter of an hour.

An event's id names the place in each topic behind it, by a time that is one millisecond late (KafkaSSE): who resumes by it loses events. So
places are taken from the events themselves, which carry topic, partition and offset in `meta`; where they do not, from some time before.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
import requests

from transforms.http_calls import USER_AGENT
from transforms.server_sent_events import ServerSentEvent, server_sent_events
from transforms.source_events import id_of

_OVERLAP_S = 2.0  # what is read again where there is no offset
_REMEMBERED = 100_000  # ids, so that what is read again is given once
LARGEST_EVENT = 1_000_000  # bytes
_CONNECT_S, _SILENCE_S = 10.0, 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 60.0


class RefusedError(RuntimeError):
    """The server will not give this stream: the text says why."""


@dataclass
class Position:
    """How far a reader has come, as JSON can hold it."""

    offsets: dict[str, int] = field(default_factory=dict)  # the next, by "topic partition"
    places: list[dict[str, Any]] = field(default_factory=list)  # of the last id
    newest: str | None = None  # `meta.dt` of the last event
    since: str | None = None  # where to begin before there is any

    def note(self, event: ServerSentEvent, raw: Mapping[str, Any]) -> None:
        with suppress(orjson.JSONDecodeError):
            places = orjson.loads(event.id) if event.id else []
            if isinstance(places, list) and all(isinstance(place, dict) and "topic" in place for place in places):
                self.places = places
        meta = raw.get("meta")
        if isinstance(meta, Mapping):
            if isinstance(offset := meta.get("offset"), int):
                self.offsets[f"{meta.get('topic')} {meta.get('partition')}"] = offset + 1
            self.newest = str(meta.get("dt") or self.newest)

    def resume(self) -> tuple[dict[str, str], dict[str, str]]:
        """Header and query of a request that goes on from here."""
        if self.places and self.offsets:
            return {"Last-Event-ID": orjson.dumps([self._place(place) for place in self.places]).decode()}, {}
        if (newest := _time(self.newest)) is not None:
            return {}, {"since": (newest - timedelta(seconds=_OVERLAP_S)).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        return {}, {"since": self.since} if self.since else {}

    def _place(self, place: Mapping[str, Any]) -> dict[str, Any]:
        named = {"topic": place["topic"], "partition": place.get("partition", 0)}
        offset = self.offsets.get(f"{named['topic']} {named['partition']}", place.get("offset", -1))
        if offset >= 0:
            return {**named, "offset": offset}
        newest = _time(self.newest) or datetime.now(timezone.utc)  # nothing came of this topic yet; what comes meanwhile is not to be lost
        late = place.get("timestamp", newest.timestamp() * 1000)
        return {**named, "timestamp": int(min(late, newest.timestamp() * 1000) - _OVERLAP_S * 1000)}


def _time(dt: str | None) -> datetime | None:
    with suppress(ValueError, TypeError):
        found = datetime.fromisoformat((dt or "").replace("Z", "+00:00"))
        return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    return None


@dataclass
class EventStreams:
    """Reads streams until it is told to stop, over as many connections as that takes; each event once by its `meta.id`."""

    url: str  # https://stream.wikimedia.org/v2/stream
    streams: Sequence[str]
    position: Position

    def __post_init__(self) -> None:
        self._seen: OrderedDict[Any, None] = OrderedDict()
        self.trouble = ""  # why there is no connection now

    def events(self) -> Iterator[ServerSentEvent]:
        """Raises RefusedError when the server will not give the streams."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                for event in self._of_a_connection():
                    pause = _FIRST_PAUSE_S
                    if not self._is_repeated(event):
                        yield event
                self.trouble = "the connection ended"
            except requests.RequestException as error:
                self.trouble = str(error)
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, 2 * pause)

    def _of_a_connection(self) -> Iterator[ServerSentEvent]:
        headers, query = self.position.resume()
        headers |= {"Accept": "text/event-stream", "User-Agent": USER_AGENT}
        address = f"{self.url.rstrip('/')}/{','.join(self.streams)}"
        with requests.get(address, params=query, headers=headers, stream=True, timeout=(_CONNECT_S, _SILENCE_S)) as answer:
            if answer.status_code == 429:
                self.trouble = f"429: {answer.text[:200]}"
                asked = answer.headers.get("Retry-After", "")
                time.sleep(float(asked) if asked.isdecimal() else _LONGEST_PAUSE_S)  # it may be a date
                return
            if 400 <= answer.status_code < 500:
                raise RefusedError(f"{address}: {answer.status_code}: {answer.text[:500]}")
            answer.raise_for_status()
            self.trouble = ""
            yield from server_sent_events(answer.iter_content(None), LARGEST_EVENT)

    def _is_repeated(self, event: ServerSentEvent) -> bool:
        raw: Any = None
        with suppress(orjson.JSONDecodeError):
            raw = orjson.loads(event.data)
        if not isinstance(raw, dict):
            return False
        self.position.note(event, raw)
        name = id_of(raw)
        if name is None:
            return False
        if name in self._seen:
            return True
        self._seen[name] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return False
