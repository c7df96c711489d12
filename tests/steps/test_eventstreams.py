"""Public edits as they come: server-sent events, and connections that break off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.support.event_streams import EventStreamsServer
from tests.support.public_edits import both, event
from transforms.connectors.eventstreams import EventStreams, RefusedError
from transforms.connectors.eventstreams_position import Position
from transforms.http.server_sent_events import ServerSentEvent, server_sent_events

# Server-sent events


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_are_read_whatever_ends_a_line_and_however_they_are_cut(ends: bytes, size: int) -> None:
    text = ends.join(
        [
            b":a comment",
            b"",
            b"id: 1",
            b"event: message",
            b"data: one",
            b"data:two",
            b"",
            b"data",
            b"",
            b"id",
            b"data:  three",
            b"",
            b"data: cut",
        ]
    )
    chunks = [text[begin : begin + size] for begin in range(0, len(text), size)]
    assert list(server_sent_events(chunks, 100)) == [
        ServerSentEvent("1", b"one\ntwo"),
        ServerSentEvent("1", b""),
        ServerSentEvent("", b" three"),
    ]


def test_what_is_too_large_is_its_beginning_and_the_next_is_whole() -> None:
    text = b"id: 1\ndata: " + b"x" * 20_000_000 + b"\n\ndata: next\n\n"
    chunks = (text[begin : begin + 65_536] for begin in range(0, len(text), 65_536))
    first, second = server_sent_events(chunks, 1_000_000)
    assert (first.id, first.too_large, first.data[:3], second) == (
        "1",
        True,
        b"xxx",
        ServerSentEvent("1", b"next"),
    )
    assert len(first.data) == 1_000


# Connections


def read(server: EventStreamsServer, count: int, position: Position) -> tuple[list[Any], EventStreams]:
    reader = EventStreams(server.url, ["edits"], position, sleep=server.slept.append)
    events: Iterator[ServerSentEvent] = reader.events()
    return [next(events).data for _ in range(count)], reader


@pytest.mark.parametrize(("with_offsets", "cut_after"), [(True, 7), (True, 40), (False, 40)])
def test_nothing_is_missing_and_nothing_comes_twice_over_many_connections(
    with_offsets: bool, cut_after: int
) -> None:
    with EventStreamsServer(cut_after, with_offsets=with_offsets) as server:
        for each in both(100):
            server.add(*each)
        found, _ = read(server, 100, Position(since="2026-01-01T00:00:00Z"))
        assert [orjson.loads(data)["rev_id"] for data in found] == [1000 + number for number in range(100)]
        assert len(server.requests) >= 100 // cut_after


def test_another_reader_goes_on_where_the_first_was() -> None:
    with EventStreamsServer() as server:
        for each in both(50):
            server.add(*each)
        _, reader = read(server, 25, Position(since="2026-01-01T00:00:00Z"))
        saved = Position(**orjson.loads(orjson.dumps(vars(reader.position))))
        found, _ = read(server, 25, saved)
        assert [orjson.loads(data)["rev_id"] for data in found] == [1000 + number for number in range(25, 50)]
        places = orjson.loads(server.requests[-1][1] or "")
        assert [(place["topic"], place["offset"]) for place in places] == [
            ("eqiad.edits", 17),
            ("codfw.edits", 8),
        ]


def test_a_topic_that_was_silent_is_not_read_from_its_end() -> None:
    """Its place in the id is -1, the newest: what comes while there is no connection would be lost."""
    with EventStreamsServer(cut_after=3) as server:
        for each in [event(0), event(1), event(2), event(3, "codfw"), event(4)]:
            server.add(*each)
        found, _ = read(server, 5, Position(since="2026-01-01T00:00:00Z"))
        assert sorted(orjson.loads(data)["rev_id"] for data in found) == [1000, 1001, 1002, 1003, 1004]


def test_too_many_connections_are_waited_for_and_a_refusal_is_told() -> None:
    with EventStreamsServer(refusals=[429, 429]) as server:
        server.add(*event(0))
        assert len(read(server, 1, Position(since="2026-01-01T00:00:00Z"))[0]) == 1
        assert len(server.requests) == 3
        assert server.slept == [60, 60]  # as the server names no time
    for status in (400, 401, 403, 404):
        with (
            EventStreamsServer(refusals=[status]) as server,
            pytest.raises(RefusedError, match=f"{status}: .*Invalid streams: nothing"),
        ):
            read(server, 1, Position())


@pytest.mark.parametrize(("chunked", "compressed"), [(False, False), (True, True), (False, True)])
def test_a_stream_is_read_as_it_comes_however_it_is_sent(chunked: bool, compressed: bool) -> None:
    with EventStreamsServer() as server:
        server.chunked, server.compressed = chunked, compressed
        for each in both(5):
            server.add(*each)
        # the connection does not end
        assert len(read(server, 5, Position(since="2026-01-01T00:00:00Z"))[0]) == 5
        assert len(server.requests) == 1


def test_what_ends_a_stream_once_it_was_given_is_trouble_that_passes() -> None:
    said: list[str] = []
    with EventStreamsServer(cut_after=1, refusals=[200, 404, 408, 200, 401, 503, 200, 429, 403]) as server:
        server.retry_after = "Thu, 01 Jan 2026 00:00:00 GMT"
        for each in both(4):
            server.add(*each)
        reader = EventStreams(
            server.url,
            ["edits"],
            Position(since="2026-01-01T00:00:00Z"),
            told=said.append,
            sleep=server.slept.append,
        )
        events = reader.events()
        assert [orjson.loads(next(events).data)["rev_id"] for _ in range(4)] == [1000, 1001, 1002, 1003]
    assert [text.split(": ")[2] for text in said if text.startswith("waiting")] == [
        "404",
        "408",
        "401",
        "503",
        "429",
        "403",
    ]
    assert server.slept == [0.2, 0.4, 0.8, 0.2, 0.4, 0.8, 0.2, 60, 0.8]


def test_a_stream_that_says_nothing_is_told_and_read_again() -> None:
    said: list[str] = []
    with EventStreamsServer() as server:

        def told(text: str) -> None:
            said.append(text)
            if len(said) == 1:
                server.add(*event(1))

        server.add(*event(0))
        position = Position(since="2026-01-01T00:00:00Z")
        events = EventStreams(
            server.url, ["edits"], position, told=told, sleep=server.slept.append, silence_s=0.3
        ).events()
        assert [orjson.loads(next(events).data)["rev_id"] for _ in range(2)] == [1000, 1001]
    assert said == ["waiting for the stream: nothing came for 0.3 s"]


def test_an_error_of_the_server_is_no_event() -> None:
    said: list[str] = []
    with EventStreamsServer(cut_after=2) as server:
        server.parting = b'event: error\nid: []\ndata: {"name": "KafkaSSEError", "message": "\x1b[2J"}\n\n'
        for each in both(6):
            server.add(*each)
        reader = EventStreams(
            server.url,
            ["edits"],
            Position(since="2026-01-01T00:00:00Z"),
            told=said.append,
            sleep=server.slept.append,
        )
        events = reader.events()
        assert [orjson.loads(next(events).data)["rev_id"] for _ in range(6)] == [
            1000 + number for number in range(6)
        ]
    assert said == [
        'waiting for the stream: the server says: {"name": "KafkaSSEError", "message": "\\u001b[2J"}'
    ]


def test_a_place_that_the_server_does_not_know_any_more_is_told_by_time() -> None:
    with EventStreamsServer(cut_after=2, refusals=[200, 400]) as server:
        for each in both(4):
            server.add(*each)
        read(server, 4, Position(since="2026-01-01T00:00:00Z"))
        assert [bool(last_id) for _, last_id, _ in server.requests[:3]] == [False, True, False]
        assert server.requests[2][2] == "2025-12-31T23:59:58.000Z"


@pytest.mark.parametrize(
    "odd",
    [
        {"meta": {"dt": "0001-01-01T00:00:00Z"}},
        {"meta": {"dt": "9999-12-31T23:59:59Z", "id": ["x"]}},
        {"meta": {"dt": ["x"], "offset": True, "topic": ["a"]}},
        {"meta": {"offset": 2**70}},
        {"meta": ["x"]},
    ],
)
@pytest.mark.parametrize(
    "event_id",
    [
        "",
        "[]",
        '[{"topic": 7}]',
        '[{"topic": "a", "offset": "x"}]',
        '[{"topic": "a", "partition": {}, "timestamp": null}]',
        "[" * 3000,
    ],
)
def test_no_event_keeps_a_reader_from_going_on(odd: dict[str, Any], event_id: str) -> None:
    position = Position()
    position.note(
        ServerSentEvent('[{"topic": "a", "partition": 0, "offset": 3}]', b""),
        {"meta": {"topic": "a", "partition": 0, "offset": 3}},
    )
    position.note(ServerSentEvent(event_id, b""), odd)
    header, query = position.resume()
    assert header == {"Last-Event-ID": '[{"topic":"a","partition":0,"offset":4}]'}
    _, query = position.resume(by_time=True)
    assert query.get("since", "2") < "3"
