"""A server that answers as EventGate does (lib/eventgate.js, routes/events.js of wikimedia/eventgate), and
remembers what it took."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import schemas
from tests.support.events import edit, request
from tests.support.loopback import Handler, LoopbackServer
from transforms.connectors.eventgate_sink import EventGate
from transforms.elements import Failure, OutputEvent, Score
from transforms.events.error_events import failed
from transforms.events.score_events import ScoreStream, revision_score


class _Handler(Handler):
    def do_GET(self) -> None:  # noqa: N802 (the name that http.server calls)
        self._say(404, {"detail": "Not found"})

    def do_POST(self) -> None:  # noqa: N802
        answer = self.server_of.answer(self.rfile.read(int(self.headers["Content-Length"])))
        if answer is None:
            self.close_connection = True
        else:
            self._say(*answer)

    def _say(self, status: int, told: Any) -> None:
        body = b"" if told is None else b"<html></html>" if told == "page" else orjson.dumps(told)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + 100 * (told == "torn")))
        if told == "redirect":
            self.send_header("Location", "/v1/other")
        if told == "torn":
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)


class EventGateServer(LoopbackServer):
    """Validates against the real schemas. `faults` are of the next POSTs, one each, or None for a good one:

    `ill`: what is wrong with single streams, by name: one of these faults, "unknown", "redirect" (to a place
    that takes nothing), "page" (200 with HTML), "torn" (201 whose body ends early), or a status.

    slow (takes all, after a second and a half), hang (no answer until the client leaves), cut (takes all, and
    the connection goes away), lost (goes away before it takes any), broker (500, no event could be produced),
    some (207, every other event could not be produced), empty (400, as if no JSON came), gone (503 of a
    proxy).
    """

    handler, path = _Handler, "/v1/events"

    def __init__(
        self,
        streams: Collection[str],
        faults: Collection[str | None] = (),
        ill: Mapping[str, str] | None = None,
    ) -> None:
        self.taken: Counter[str] = Counter()  # how often, by `meta.id`
        self.events: dict[str, dict[str, Any]] = {}
        self.posts = 0
        self.smallest_body = 3_000  # of those that are too large
        self.largest_post = 0
        self.ill = dict(ill or {})
        self._streams, self._faults = streams, list(faults)
        self._lock = threading.Lock()
        super().__init__()

    def answer(self, body: bytes) -> tuple[int, Any] | None:
        """Status and JSON; None: the connection goes away."""
        with self._lock:
            self.posts += 1
            self.largest_post = max(self.largest_post, len(body))
            fault = self._faults.pop(0) if self._faults else None
        events = orjson.loads(body)
        fault = fault or next(
            (self.ill[stream] for event in events if (stream := event["meta"]["stream"]) in self.ill), None
        )
        if fault == "slow":
            self.over.wait(1.5)
        if fault == "hang":
            self.over.wait(30)
            return None
        if fault == "lost":
            return None
        if fault == "empty":
            return 400, {"invalid": []}
        if fault == "gone":
            return 503, None
        if fault in ("redirect", "page", "torn"):
            return {"redirect": 302, "page": 200, "torn": 201}[fault], fault
        if fault and fault.isdigit() and not (fault == "413" and len(body) < self.smallest_body):
            return int(fault), {"title": "no"}
        invalid, error = [], []
        for index, event in enumerate(events):
            if fault == "broker" or (fault == "some" and index % 2):
                error.append(
                    {"status": "error", "event": event, "context": {"message": "Local: Message timed out"}}
                )
            elif event["meta"]["stream"] not in self._streams:
                message = (
                    f"event {event['meta']['id']} of schema at {event['$schema']} is not allowed in "
                    f"stream; {event['meta']['stream']} is not configured."
                )
                error.append({"status": "error", "event": event, "context": {"message": message}})
            elif problem := _problem(event):
                invalid.append(
                    {"status": "invalid", "event": event, "context": {"errors": [], "errorsText": problem}}
                )
            else:
                with self._lock:
                    self.taken[event["meta"]["id"]] += 1
                    self.events[event["meta"]["id"]] = event
        if fault == "cut":
            return None
        told = {"invalid": invalid, "error": error}
        if not invalid and not error:
            return 201, None
        if len(invalid) + len(error) < len(events):
            return 207, told
        return (500, told) if error else (400, {"invalid": invalid})


def _problem(event: dict[str, Any]) -> str:
    try:
        schemas.validator(event["$schema"])(event)
    except schemas.InvalidEventError as error:
        return f"'{error}'"
    return ""


ERRORS = "mediawiki.revision-score.error"
STREAMS = {model: f"mediawiki.revision-score-{model}" for model in ("damaging", "goodfaith")}
NOW = "2026-01-01T00:00:00.000000Z"


def scored(
    rev_id: int,
    model: str = "damaging",
    datacenter: str = "eqiad",
    raw: dict[str, Any] | None = None,
    **wrong: Any,
) -> OutputEvent:
    raw = raw or edit(rev_id=rev_id)
    body = revision_score(
        raw, ScoreStream(model, STREAMS[model]), Score("1", True, {"true": 0.75, "false": 0.25}), NOW
    )
    return OutputEvent(STREAMS[model], {**body, **wrong}, datacenter, None, request(model, raw))


def failure(rev_id: int, **changes: Any) -> OutputEvent:
    original = orjson.dumps(edit(rev_id=rev_id, **changes)).decode()
    return failed(Failure("ScoreWithLiftWing", "404: gone", original, "eqiad", "damaging"), ERRORS, NOW)


def send(urls: dict[str, str], *events: OutputEvent, timeout_s: float = 5.0) -> None:
    with beam.Pipeline(FnApiRunner()) as p:
        _ = p | beam.Create(events, reshuffle=False) | EventGate(urls, ERRORS, timeout_s, lambda: NOW)
