"""One edit can be followed: what calls and messages say of the request that it goes back to."""

from __future__ import annotations

import re
from concurrent.futures import Future
from typing import Any

import pytest

from runners.local_kafka import LocalKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.eventgate import failure, scored, send
from tests.support.events import edit, request
from tests.support.kafka import in_topic, write
from tests.support.loopback import Handler, LoopbackServer
from transforms.elements import Score
from transforms.events.tracing import trace_headers
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.client import LiftWingClient
from transforms.models.model import Configuration, LiftWingSettings

REQUEST = "0c8b3c4e-3d4c-4f0a-9d5e-0f8f0b8e7a11"
TRACE = REQUEST.replace("-", "")
URI = "https://en.wikipedia.org/wiki/Ca%C3%B1on"
HEADERS = {
    "x-request-id": REQUEST,
    "x-triggered-by": f"req:{REQUEST},mediawiki.revision-create:{URI}",
    "traceparent": "(a number)",
}


def traced(**meta: Any) -> dict[str, Any]:
    raw = edit(rev_id=1)
    return {
        **raw,
        "meta": {
            **raw["meta"],
            "stream": "mediawiki.revision-create",
            "request_id": REQUEST,
            "uri": URI,
            **meta,
        },
    }


def without_number(headers: dict[str, str]) -> dict[str, str]:
    """With the trace alone held against the request, as the rest of `traceparent` is new for each call."""
    return {
        name: re.sub(rf"^00-{TRACE}-(?!0{{16}})[0-9a-f]{{16}}-00$", "(a number)", value)
        for name, value in headers.items()
    }


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({}, HEADERS),
        (
            {"uri": "https://de.wikipedia.org/wiki/Ä b\r\nx: y\ud800"},
            {
                **HEADERS,
                "x-triggered-by": f"req:{REQUEST},mediawiki.revision-create:https://de.wikipedia.org/wiki/%C3%84%20b%0D%0Ax:%20y?",
            },
        ),
        ({"uri": None}, {name: value for name, value in HEADERS.items() if name != "x-triggered-by"}),
        ({"stream": ["a"]}, {name: value for name, value in HEADERS.items() if name != "x-triggered-by"}),
        *[
            ({"request_id": wrong}, {})
            for wrong in (None, "", 7, ["a"], "two words", "line\r\nx: y", "ä", "a" * 201)
        ],
    ],
)
def test_headers_of_an_event(meta: dict[str, Any], expected: dict[str, str]) -> None:
    assert without_number(trace_headers(traced(**meta))) == expected


@pytest.mark.parametrize("letter", ["a", "\u8a9e", "\U0001f600", "\ud800"])
def test_no_header_is_longer_than_a_server_takes(
    letter: str, lift_wing: SimulatedLiftWing, shipped: Configuration
) -> None:
    raw = traced(uri=f"https://ja.wikipedia.org/wiki/{letter * 3_000}")
    assert max(map(len, trace_headers(raw).values())) == 2_000
    client, answered = LiftWingClient(LiftWingSettings(lift_wing.url, timeout_s=5)), Future[CallResult]()
    client.submit(shipped.models["damaging"].endpoint("enwiki"), request(raw=raw), answered.set_result)
    assert isinstance(answered.result(30).result, Score)
    client.close()


def test_a_request_that_is_no_uuid_has_a_trace_of_its_own() -> None:
    first, again, other = (
        trace_headers(traced(request_id=name))["traceparent"] for name in ("Xyz", "Xyz", "Xya")
    )
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", first)
    assert first[:36] == again[:36] != other[:36]
    assert first != again


@pytest.mark.parametrize("raw", [{}, {"meta": None}, {"meta": "text"}, {"meta": []}])
def test_an_event_without_meta_has_none(raw: dict[str, Any]) -> None:
    assert trace_headers(raw) == {}


class _Notebook(Handler):
    def do_POST(self) -> None:  # noqa: N802 (the name that http.server calls)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server_of.seen.append({name: self.headers[name] for name in HEADERS if name in self.headers})
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Notebook(LoopbackServer):
    """Takes everything, and notes the headers of a trace."""

    handler, path = _Notebook, ""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        super().__init__()


def test_a_call_to_lift_wing_has_them(shipped: Configuration) -> None:
    with Notebook() as server:
        lift_wing, answered = LiftWingClient(LiftWingSettings(server.url, timeout_s=5)), Future[CallResult]()
        lift_wing.submit(
            shipped.models["damaging"].endpoint("enwiki"), request(raw=traced()), answered.set_result
        )
        answered.result(30)
        lift_wing.close()
    assert [without_number(headers) for headers in server.seen] == [HEADERS]


def test_a_post_to_eventgate_has_them() -> None:
    with Notebook() as server:
        send({"*": server.url}, scored(1, raw=traced()))
        send({"*": server.url}, failure(2, meta={**edit()["meta"], "request_id": REQUEST}))
    of_score, of_failure = map(without_number, server.seen)
    assert of_score == HEADERS
    assert of_failure == {name: HEADERS[name] for name in ("x-request-id", "traceparent")}


@pytest.mark.kafka
def test_a_message_in_kafka_has_them(kafka: LocalKafka) -> None:
    event = scored(1, raw=traced())
    write(kafka.address, event)
    (message,) = in_topic(kafka.address, f"eqiad.{event.stream}")
    assert without_number({name: value.decode() for name, value in message.headers()}) == HEADERS
