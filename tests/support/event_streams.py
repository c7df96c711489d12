"""A server of server-sent events that behaves as EventStreams does (wikimedia/mediawiki-services-eventstreams
with wikimedia/KafkaSSE)."""

from __future__ import annotations

import threading
import zlib
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from tests.support.loopback import Handler, LoopbackServer
from transforms.delivery.sink_metrics import timestamp_ms


class _Handler(Handler):
    def do_GET(self) -> None:  # noqa: N802 (the name that http.server calls)
        address = urlsplit(self.path)
        last_id, since = self.headers.get("Last-Event-ID"), parse_qs(address.query).get("since", [None])[0]
        self.server_of.requests.append((address.path, last_id, since))
        if status := self.server_of.refusal():
            body = (
                b'{"detail": "Too many connections"}'
                if status == 429
                else b'{"detail": "Invalid streams: nothing"}'
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", self.server_of.retry_after)
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if self.server_of.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        if self.server_of.compressed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        gzip = zlib.compressobj(wbits=31)
        with suppress(OSError):  # who reads may be killed
            for message in self.server_of.messages(last_id, since):
                piece = (
                    gzip.compress(message) + gzip.flush(zlib.Z_SYNC_FLUSH)
                    if self.server_of.compressed
                    else message
                )
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if self.server_of.chunked else piece)
                self.wfile.flush()
        self.close_connection = True  # without the last chunk: a cut


class EventStreamsServer(LoopbackServer):
    """Gives `events`, each of a topic, to whoever comes, and waits for more. It cuts each connection after
    `cut_after` events; answers the first requests with `refusals`, a status each (200: no refusal);
    `with_offsets`: events tell their place in `meta`. Ids have times, one millisecond late. Before a cut it
    sends `parting`."""

    handler, path = _Handler, "/v2/stream"

    def __init__(
        self, cut_after: int = 10**9, refusals: list[int] | None = None, *, with_offsets: bool = True
    ) -> None:
        self.requests: list[tuple[str, str | None, str | None]] = []  # path, Last-Event-ID, since
        self._cut_after, self._refusals, self._with_offsets = cut_after, refusals or [], with_offsets
        self.chunked, self.compressed, self.parting = True, False, b""
        self.retry_after = "0"
        self.slept: list[float] = []  # seconds, by readers that do not
        self._log: list[tuple[str, int, int, bytes]] = []  # topic, offset, timestamp, data
        self._more = threading.Condition()
        super().__init__()

    def __exit__(self, *error: object) -> None:
        with self._more:
            self.over.set()
            self._more.notify_all()
        super().__exit__(*error)

    def add(self, topic: str, event: dict[str, Any] | bytes, dt: str) -> None:
        with self._more:
            offset = sum(1 for each in self._log if each[0] == topic)
            if isinstance(event, dict) and self._with_offsets:
                event = {**event, "meta": {**event["meta"], "topic": topic, "partition": 0, "offset": offset}}
            self._log.append(
                (topic, offset, timestamp_ms(dt), event if isinstance(event, bytes) else orjson.dumps(event))
            )
            self._more.notify_all()

    def refusal(self) -> int | None:
        status = self._refusals.pop(0) if self._refusals else 200
        return status if status != 200 else None

    def messages(self, last_id: str | None, since: str | None) -> Any:
        """The bytes of each event from there on, until the connection is cut."""
        asked = {place["topic"]: place for place in orjson.loads(last_id)} if last_id else {}
        places: dict[str, dict[str, Any]] = {
            topic: {"topic": topic, "partition": 0, "offset": -1} for topic in ("eqiad.edits", "codfw.edits")
        }
        index = given = 0
        if not asked and since is None:
            with self._more:
                index = len(self._log)
        yield b":ok\n\n"
        while given < self._cut_after:
            with self._more:
                while index >= len(self._log) and not self.over.is_set():
                    self._more.wait(0.5)
                if self.over.is_set():
                    return
                topic, offset, timestamp, data = self._log[index]
            index += 1
            place = asked.get(topic, {})
            if (
                offset < place.get("offset", 0)
                or timestamp < place.get("timestamp", 0)
                or (since and not asked and timestamp < timestamp_ms(since))
            ):
                continue
            places[topic] = {"topic": topic, "partition": 0, "timestamp": timestamp + 1}
            given += 1
            yield (
                b"event: message\nid: "
                + orjson.dumps(list(places.values()))
                + b"\ndata: "
                + data.replace(b"\n", b"\ndata: ")
                + b"\n\n"
            )
        if self.parting:
            yield self.parting
