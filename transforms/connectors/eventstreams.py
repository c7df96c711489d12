"""Events from EventStreams (wikimedia/mediawiki-services-eventstreams): Kafka's topics by server-sent events,
over a connection that breaks off every quarter of an hour.

An event's id names the place in each topic behind it, by a time that is one millisecond late (KafkaSSE): who
resumes by it loses events. So places are taken from the events themselves, which carry topic, partition and
offset in `meta`; where they do not, from some time before.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard

import orjson
import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from transforms.events.printable import in_one_line
from transforms.events.source_events import id_of
from transforms.http.server_sent_events import MESSAGE, ServerSentEvent, server_sent_events
from transforms.http.user_agent import user_agent

_OVERLAP_S = 2.0  # what is read again where there is no offset
_REMEMBERED = 100_000  # ids, so that what is read again is given once
LARGEST_EVENT = 1_000_000  # bytes
_CONNECT_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 60.0
_LONGEST_ASKED_S = 300.0  # that a server can have us wait
_LONGEST_TROUBLE = 500  # characters
_PIECE = 65_536  # bytes
_SAY_AGAIN_S, _SHORT_TROUBLE_S = 60.0, 5.0
_PASSING = (408, 425, 429)  # of the 4xx; the others tell what is wrong with the request


class RefusedError(RuntimeError):
    """The server will not give this stream: the text says why."""


class _TroubleError(RuntimeError):
    """There is no stream now; another connection may have it after `wait_s` seconds."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


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
            if isinstance(places, list) and places and all(map(_is_place, places)):
                self.places = places
        meta = raw.get("meta")
        if isinstance(meta, Mapping):
            if _is_count(offset := meta.get("offset")):
                self.offsets[f"{meta.get('topic')} {meta.get('partition')}"] = offset + 1
            self.newest = str(meta.get("dt") or self.newest)

    def resume(self, *, by_time: bool = False) -> tuple[dict[str, str], dict[str, str]]:
        """Header and query of a request that goes on from here; `by_time` has it name no places."""
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


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """Yields the body as it comes, whether it is chunked, compressed or neither; requests' own iterator waits
    for the end of one that is not chunked."""
    while piece := answer.raw.read1(_PIECE, decode_content=True):
        yield piece


def _beginning(answer: requests.Response) -> str:
    return next(_pieces(answer), b"").decode("utf-8", "replace")


def _seconds_asked(retry_after: str) -> float:
    """What a Retry-After asks for, a number of seconds or a date, up to five minutes; 0 for anything else."""
    if retry_after.isascii() and retry_after.isdecimal():
        return min(float(retry_after[:9]), _LONGEST_ASKED_S)
    with suppress(ValueError, TypeError, IndexError):
        return min(max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time()), _LONGEST_ASKED_S)
    return 0.0


def _time(dt: str | None) -> datetime | None:
    """A time of which one can go on: none of the future, and none before there were computers."""
    with suppress(ValueError, TypeError, OverflowError):
        found = datetime.fromisoformat((dt or "").replace("Z", "+00:00"))
        found = (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
        return min(found, datetime.now(timezone.utc)) if found.year >= 1970 else None
    return None


@dataclass
class EventStreams:
    """Reads streams until it is told to stop, over as many connections as that takes; each event once by its
    `meta.id`."""

    url: str  # https://stream.wikimedia.org/v2/stream
    streams: Sequence[str]
    position: Position
    contact: str | None = None  # of whoever reads, for the User-Agent
    # hears in one line why nothing comes, and when it does again
    told: Callable[[str], None] = lambda text: None
    sleep: Callable[[float], None] = time.sleep
    silence_s: float = 60.0  # after which a connection is given up

    def __post_init__(self) -> None:
        self._seen: OrderedDict[Any, None] = OrderedDict()
        self._was_given = False  # the server has given the streams to this reader
        self._by_time = False  # it does not know the places that it told us
        self._since: float | None = None  # there is no stream, by a clock that is monotonic
        self._said, self._said_at = "", 0.0

    def events(self) -> Iterator[ServerSentEvent]:
        """Raises RefusedError when the server will not give the streams to a reader that never had them.
        Later nothing ends it."""
        pause = _FIRST_PAUSE_S
        while True:
            wait_s, gave, trouble = 0.0, False, "the connection ended"
            try:
                for event in self._of_a_connection():
                    pause, gave = _FIRST_PAUSE_S, True
                    self._note_trouble("")
                    if not self._mark_seen(event):
                        yield event
            except _TroubleError as error:
                wait_s, gave, trouble = error.wait_s, False, str(error)
            except ReadTimeoutError:
                gave, trouble = False, f"nothing came for {self.silence_s:g} s"
            except (requests.RequestException, HTTPError, OSError) as error:
                # else no two are alike
                trouble = in_one_line(
                    re.sub(r"<[^<>]* object at 0x[0-9a-f]+>:? ?", "", str(error)), _LONGEST_TROUBLE
                )
            self._note_trouble("" if gave else trouble)  # a connection that gave something may end
            self.sleep(max(pause, wait_s))
            pause = min(_LONGEST_PAUSE_S, 2 * pause)

    def _of_a_connection(self) -> Iterator[ServerSentEvent]:
        headers, query = self.position.resume(by_time=self._by_time)
        headers |= {"Accept": "text/event-stream", "User-Agent": user_agent(self.contact)}
        address = f"{self.url.rstrip('/')}/{','.join(self.streams)}"
        with requests.get(
            address, params=query, headers=headers, stream=True, timeout=(_CONNECT_S, self.silence_s)
        ) as answer:
            if answer.status_code != 200:
                raise self._refusal(address, answer)
            kind = answer.headers.get("Content-Type", "nothing")
            if not kind.lower().startswith("text/event-stream"):
                raise _TroubleError(
                    f"{address}: expected a stream of events, got {in_one_line(kind, _LONGEST_TROUBLE)}"
                )
            self._was_given, self._by_time = True, False
            for event in server_sent_events(_pieces(answer), LARGEST_EVENT):
                if event.kind == "error":
                    raise _TroubleError(
                        "the server says: "
                        f"{in_one_line(event.data.decode('utf-8', 'replace'), _LONGEST_TROUBLE)}"
                    )
                if event.kind == MESSAGE:
                    yield event

    def _refusal(self, address: str, answer: requests.Response) -> Exception:
        """What to raise for a status other than 200."""
        status = answer.status_code
        said = f"{address}: {status}: {in_one_line(_beginning(answer), _LONGEST_TROUBLE)}"
        if 400 <= status < 500 and status not in _PASSING and not self._was_given:
            return RefusedError(said)
        self._by_time = status == 400 and not self._by_time  # it may not know our places any more
        return _TroubleError(
            said,
            _seconds_asked(answer.headers.get("Retry-After", ""))
            or (_LONGEST_PAUSE_S if status == 429 else 0.0),
        )

    def _note_trouble(self, trouble: str) -> None:
        """Tells a trouble once while it lasts, and at most once a minute when it comes and goes."""
        now = time.monotonic()
        if trouble:
            is_new, self._since = self._since is None, self._since or now
            if trouble != self._said or (is_new and now - self._said_at > _SAY_AGAIN_S):
                self._said, self._said_at = trouble, now
                self.told(f"waiting for the stream: {trouble}")
        elif self._since is not None:
            if now - self._since > _SHORT_TROUBLE_S:
                self.told("the stream goes on")
            self._since = None

    def _mark_seen(self, event: ServerSentEvent) -> bool:
        """Moves the position past the event; returns whether it came before."""
        raw: Any = None
        with suppress(orjson.JSONDecodeError):
            raw = orjson.loads(event.data)
        if not isinstance(raw, dict):
            return False
        self.position.note(event, raw)
        name = id_of(raw)
        if not isinstance(name, str):
            return False
        if name in self._seen:
            return True
        self._seen[name] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return False
