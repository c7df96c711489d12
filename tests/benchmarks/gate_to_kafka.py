"""A server that answers as EventGate does and writes what it takes to Kafka; one stream can be made to fail
in each way that EventGate, its Kafka, or a proxy before it knows."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import orjson
from confluent_kafka import Producer

from tests.support.loopback import Handler, LoopbackServer

FAULTS = (
    "unknown",
    "unwritable",
    "hangs",
    "413",
    "404",
    "401",
    "429",
    "503",
    "redirect",
    "page",
    "cut",
    "some",
)


class _Handler(Handler):
    def do_POST(self) -> None:  # noqa: N802 (the name that http.server calls)
        self.server_of.answer(self, self.rfile.read(int(self.headers["Content-Length"])))

    def say(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class GateToKafka(LoopbackServer):
    """`fault`: one of FAULTS, of the streams whose name ends with `ill`; empty: none."""

    handler, path = _Handler, "/v1/events"

    def __init__(self, kafka: str, ill: str, datacenter: str = "eqiad") -> None:
        self.fault = ""
        self.most_bytes = 6_000  # of a body, where larger ones are refused; two or three scores
        self.taken: Counter[str] = Counter()  # by `meta.id`
        self.posts: Counter[int] = Counter()  # by status
        self._ill, self._datacenter = ill, datacenter
        self._lock = threading.Lock()
        self._producer = Producer(
            {"bootstrap.servers": kafka, "enable.idempotence": True, "linger.ms": 1, "log_level": 0}
        )
        super().__init__()

    def answer(self, handler: _Handler, body: bytes) -> None:
        events = orjson.loads(body)
        ill = [event for event in events if event["meta"]["stream"].endswith(self._ill)]
        if events and not any("dt" in event["meta"] for event in events):
            self._tell_of_probes(handler, events, ill)
        elif self.fault and ill:
            self._fail(handler, body, events, ill)
        else:
            self._take(events)
            self._say(handler, 201 if events else 400)

    def _tell_of_probes(self, handler: _Handler, events: list[Any], ill: list[Any]) -> None:
        """Events without a time are invalid, but for those of a stream that is not known."""
        unknown = ill if self.fault == "unknown" else []
        invalid = [
            {"status": "invalid", "event": event, "context": {"errorsText": "no dt"}}
            for event in events
            if event not in unknown
        ]
        error = [
            {
                "status": "error",
                "event": event,
                "context": {"message": "is not allowed in stream; it is not configured."},
            }
            for event in unknown
        ]
        self._say(handler, 400, orjson.dumps({"invalid": invalid, "error": error}))

    def _fail(self, handler: _Handler, body: bytes, events: list[Any], ill: list[Any]) -> None:
        fault = self.fault
        if fault == "413" and len(body) <= self.most_bytes:
            self._take(events)
            self._say(handler, 201)
        elif fault in ("unknown", "unwritable", "some"):
            refused = ill[::2] if fault == "some" else ill
            why = (
                "is not allowed in stream; it is not configured."
                if fault == "unknown"
                else "Local: Message timed out"
            )
            self._take([event for event in events if event not in refused])
            told = {
                "invalid": [],
                "error": [
                    {"status": "error", "event": event, "context": {"message": why}} for event in refused
                ],
            }
            self._say(handler, 500 if len(refused) == len(events) else 207, orjson.dumps(told))
        elif fault == "hangs":
            self.over.wait(30)
            handler.close_connection = True
        elif fault == "cut":
            self._say(handler, 201, b"{", 100)
            handler.close_connection = True
        elif fault == "page":
            self._say(handler, 200, b"<html>Log in</html>")
        elif fault == "redirect":
            self._say(handler, 302, Location="http://127.0.0.1:9/")
        else:
            self._say(handler, int(fault), b'{"title": "no"}')

    def _take(self, events: list[Any]) -> None:
        for event in events:
            self._producer.produce(f"{self._datacenter}.{event['meta']['stream']}", orjson.dumps(event))
        self._producer.flush(10)
        with self._lock:
            self.taken.update(event["meta"]["id"] for event in events)

    def _say(
        self, handler: _Handler, status: int, body: bytes = b"", length: int | None = None, **headers: str
    ) -> None:
        with self._lock:
            self.posts[status] += 1
        handler.say(status, body, length, **headers)
