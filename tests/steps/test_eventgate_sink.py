"""EventGate as the place where scores go: each answer it can give, and that at the end it has each event
once."""

from __future__ import annotations

import time

import orjson
import pytest

from pipeline.config.eventgate import eventgates
from tests.support.commands import wrong_use
from tests.support.eventgate import ERRORS, NOW, STREAMS, EventGateServer, failure, scored, send
from transforms.connectors.eventgate_responses import Verdict, verdict
from transforms.connectors.eventgate_sink import EventGate
from transforms.delivery.undelivered_codec import decode_events
from transforms.delivery.write_streams import WriteFn
from transforms.elements import OutputEvent
from transforms.models.model import Configuration


def id_of(event: OutputEvent) -> str:
    name: str = event.body["meta"]["id"]
    return name


def test_whatever_it_answers_it_has_each_event_once_in_the_end() -> None:
    good = [scored(rev_id, model) for rev_id in range(700) for model in STREAMS]
    bad = [scored(10_000 + number, page_id="seven") for number in range(3)]
    faults = ["some", "cut", None, "lost", "broker", None, "hang", "empty", None, "gone", "some"]
    with EventGateServer([*STREAMS.values(), ERRORS], faults) as gate:
        send({"*": gate.url}, *good, *bad, failure(5), timeout_s=1.0)
        failures = [event for event in gate.events.values() if event["$schema"] == "/error/2.1.0"]
        assert gate.events.keys() == {id_of(event) for event in [*good, failure(5)]} | {
            event["meta"]["id"] for event in failures
        }
        assert {name for name, count in gate.taken.items() if count > 1} <= {id_of(event) for event in good}
    told = sorted((event["error_type"], event["message"]) for event in failures)
    assert told == [("ScoreWithLiftWing/damaging", "404: gone")] + [
        (
            "WritePerModel/damaging",
            f"EventGate: 'not valid against {bad[0].body['$schema']}: page_id must be integer'",
        )
        for _ in bad
    ]
    assert sorted(orjson.loads(event["raw_event"])["rev_id"] for event in failures) == [
        5,
        10_000,
        10_001,
        10_002,
    ]


def test_only_what_failed_is_sent_again() -> None:
    with EventGateServer([*STREAMS.values(), ERRORS], ["some"]) as gate:
        send({"*": gate.url}, *(scored(rev_id) for rev_id in range(10)))
        assert (gate.posts, set(gate.taken.values()), len(gate.taken)) == (2, {1}, 10)


def test_each_datacenter_has_its_own() -> None:
    with EventGateServer(STREAMS.values()) as one, EventGateServer(STREAMS.values()) as other:
        send({"eqiad": one.url, "codfw": other.url}, scored(1), scored(2, datacenter="codfw"), scored(3))
        assert (
            sorted(event["rev_id"] for event in one.events.values()),
            [event["rev_id"] for event in other.events.values()],
        ) == ([1, 3], [2])


def test_a_post_stays_below_the_limit_of_a_body() -> None:
    with EventGateServer([*STREAMS.values(), ERRORS]) as gate:
        send({"*": gate.url}, *(scored(rev_id, page_title="x" * 100_000) for rev_id in range(100)))
        assert (len(gate.taken), gate.posts) == (100, 12)
        assert gate.largest_post < 1_100_000


def test_an_event_too_large_for_a_message_is_a_failure() -> None:
    with EventGateServer([*STREAMS.values(), ERRORS]) as gate:
        send({"*": gate.url}, scored(1, page_title="x" * 5_000_000), scored(2))
        assert sorted(event.get("message", "")[:44] for event in gate.events.values()) == [
            "",
            "EventGate: a message takes 4194304 bytes, an",
        ]


def test_a_stream_that_it_does_not_know_is_named() -> None:
    with EventGateServer([STREAMS["goodfaith"]]) as gate, pytest.raises(RuntimeError) as error:
        send({"*": gate.url}, scored(1), scored(1, "goodfaith"))
    assert f"eqiad.{STREAMS['damaging']}: EventGate: event " in str(error.value)
    assert f"{STREAMS['damaging']} is not configured." in str(error.value)
    assert len(gate.taken) == 1


def left_by(url: str, *events: OutputEvent) -> set[tuple[str, int]]:
    """Stream and revision of what the sink of a stream does not get rid of, which then waits in state."""
    sink = EventGate({"*": url}, ERRORS, 5.0, lambda: NOW, waits_in_state=True)
    left: set[tuple[str, int]] = set()
    write = WriteFn(sink.writing, waits_in_bundle=False)
    write.setup()
    write.start_bundle()
    for event in events:
        write.process(event)
    for value in write.finish_bundle():
        key, encoded = value.value
        for event in decode_events(encoded):
            assert key.startswith(f"eqiad.{event.stream}/")
            left.add((event.stream, event.body["rev_id"]))
    return left


@pytest.mark.parametrize(
    "fault",
    [
        "unknown",
        "broker",
        "hang",
        "lost",
        "cut",
        "gone",
        "empty",
        "302",
        "redirect",
        "page",
        "torn",
        "401",
        "404",
        "413",
        "415",
        "429",
        "500",
    ],
)
def test_a_stream_that_is_not_taken_leaves_the_sink_and_the_others_are_taken_once(fault: str) -> None:
    ill = STREAMS["damaging"]
    events = [scored(rev_id, model) for rev_id in range(5) for model in STREAMS]
    known = [STREAMS["goodfaith"]] if fault == "unknown" else list(STREAMS.values())
    with EventGateServer(known, ill={} if fault == "unknown" else {ill: fault}) as gate:
        gate.smallest_body = 0
        assert left_by(gate.url, scored(99, "goodfaith")) == set()  # both sides have begun
        began = time.monotonic()
        assert left_by(gate.url, *events) == {(ill, rev_id) for rev_id in range(5)}
        assert time.monotonic() - began < 3
        began = time.monotonic()
        assert left_by(
            gate.url, *(scored(rev_id, model) for rev_id in range(5, 10) for model in STREAMS)
        ) == {(ill, rev_id) for rev_id in range(5, 10)}
        assert time.monotonic() - began < 1, "a stream that is known to be ill is not waited for again"
        taken = {event["meta"]["id"] for event in gate.events.values() if event["meta"]["stream"] != ill}
        assert {gate.taken[name] for name in taken} == {1}
        assert len(taken) == 11


def test_the_first_events_of_a_stream_may_take_longer_and_go_out_once() -> None:
    """A producer that begins has to connect, which on a busy machine takes more than the second that a stream
    has otherwise."""
    with EventGateServer(STREAMS.values(), ["slow"]) as gate:
        assert left_by(gate.url, scored(1), scored(1, "goodfaith")) == set()
        assert (gate.posts, len(gate.taken), set(gate.taken.values())) == (2, 2, {1})
        gate.ill = {STREAMS["damaging"]: "slow"}
        assert left_by(gate.url, scored(2), scored(2, "goodfaith")) == {(STREAMS["damaging"], 2)}


def test_a_body_that_is_too_large_is_halved_and_smaller_ever_after() -> None:
    with EventGateServer([*STREAMS.values(), ERRORS], ill={STREAMS["damaging"]: "413"}) as gate:
        assert left_by(gate.url, *(scored(rev_id) for rev_id in range(20))) == set()
        assert (set(gate.taken.values()), len(gate.taken)) == ({1}, 20)
        posts = gate.posts
        assert left_by(gate.url, *(scored(rev_id) for rev_id in range(20, 40))) == set()
        assert len(gate.taken) == 40
        assert gate.posts - posts < posts


A, B = ({"meta": {"id": name}} for name in "ab")
INVALID = {"status": "invalid", "event": A, "context": {"errorsText": "'.x' must be a number"}}
ERROR = {"status": "error", "event": B, "context": {"message": "Local: Message timed out"}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (201, b"", Verdict()),
        (202, b"", Verdict()),
        (207, orjson.dumps({"invalid": [INVALID], "error": []}), Verdict({"a": "'.x' must be a number"})),
        (207, orjson.dumps({"error": [ERROR]}), Verdict({}, {"b": "Local: Message timed out"})),
        (
            400,
            orjson.dumps({"invalid": [INVALID]}),
            Verdict(
                {"a": "'.x' must be a number"},
                {"b": '400: {"invalid":[{"status":"invalid","event":{"meta":{"id":"a"}'},
            ),
        ),
        (400, b"", Verdict({}, dict.fromkeys("ab", "400: (empty body)"))),
        (
            500,
            orjson.dumps({"invalid": [INVALID], "error": [ERROR]}),
            Verdict({"a": "'.x' must be a number"}, {"b": "Local: Message timed out"}),
        ),
        (503, b"no healthy upstream", Verdict({}, dict.fromkeys("ab", "503: no healthy upstream"))),
        (207, b"not JSON", Verdict({}, dict.fromkeys("ab", "207: not JSON"))),
        (
            500,
            orjson.dumps({"error": ["?", {"event": None}, {"event": {"meta": {"id": "z"}}}]}),
            Verdict({}, dict.fromkeys("ab", "500: ")),
        ),
    ],
)
def test_an_answer_is_read(status: int, body: bytes, expected: Verdict) -> None:
    found = verdict(status, body, ["a", "b"])
    assert found.invalid == expected.invalid
    assert found.failed.keys() == expected.failed.keys()
    assert all(found.failed[name].startswith(reason) for name, reason in expected.failed.items())


def test_where_they_are_is_said_in_a_word(shipped: Configuration) -> None:
    with EventGateServer([]) as gate:
        root = gate.url.removesuffix("/v1/events")
        assert eventgates(f"eventgate={root}", shipped) == {"*": gate.url}
        assert eventgates(f"eventgate.eqiad={gate.url}?hasty=true,eventgate.codfw={root}/", shipped) == {
            "eqiad": f"{gate.url}?hasty=true",
            "codfw": gate.url,
        }


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            "file",
            "--output: expected kafka, eventgate=https://HOST:PORT/v1/events, or eventgate.DATACENTER=... "
            "for each with commas between, got 'file'",
        ),
        ("eventgate=localhost:4492", "got 'eventgate=localhost:4492'"),
        ("eventgate.ulsfo=http://x", "got 'eventgate.ulsfo=http://x'"),
        (
            "eventgate.eqiad=http://127.0.0.1:9",
            "--output: expected an EventGate for codfw too; add eventgate.codfw=URL",
        ),
        ("eventgate=http://127.0.0.1:9", "--output: no EventGate answers at http://127.0.0.1:9/v1/events ("),
    ],
)
def test_a_wrong_place_is_told(output: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert wrong_use("stream", "--kafka", "127.0.0.1:9", "--output", output) == 2
    assert told in capsys.readouterr().err
