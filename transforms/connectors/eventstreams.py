"""Events from EventStreams (wikimedia/mediawiki-services-eventstreams): Kafka's topics by server-sent events,
over a connection that breaks off every quarter of an hour."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from transforms.connectors.eventstreams_position import Position
from transforms.events.printable import in_one_line
from transforms.events.source_events import id_of
from transforms.http.server_sent_events import MESSAGE, ServerSentEvent, server_sent_events
from transforms.http.user_agent import user_agent

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
    """The server will not give these streams; the message says why."""


class _TroubleError(RuntimeError):
    """There is no stream now; another connection may have it after `wait_s` seconds."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """Yields the body as it comes, whether it is chunked, compressed or neither; requests' own iterator waits
    for the end of one that is not chunked."""
    while piece := answer.raw.read1(_PIECE, decode_content=True):
        yield piece


def _beginning(answer: requests.Response) -> str:
    return next(_pieces(answer), b"").decode("utf-8", "replace")


def _seconds_asked(retry_after: str) -> float:
    """Returns the seconds that a Retry-After asks for, by a number or a date, up to five minutes; 0 for
    anything else."""
    if retry_after.isascii() and retry_after.isdecimal():
        return min(float(retry_after[:9]), _LONGEST_ASKED_S)
    with suppress(ValueError, TypeError, IndexError):
        return min(max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time()), _LONGEST_ASKED_S)
    return 0.0


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
        """Yields events for ever, each once by its `meta.id`. Raises RefusedError when the server will not
        give the streams to a reader that never had them; later nothing ends it."""
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
        """Returns what to raise for a status other than 200."""
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
