"""What waits for a stream in Flink's state: its format, which later versions must read, and how it is
counted."""

from __future__ import annotations

from tests.support.events import edit, request
from transforms.delivery.undelivered_codec import (
    counted,
    decode_events,
    decode_tag,
    encode_events,
    encode_tag,
)
from transforms.delivery.waiting_counts import MOST_WAITING, gauge_name, waiting_deliveries
from transforms.elements import Failure, OutputEvent
from transforms.events.error_events import failed
from transforms.worker.environment import Environment

BODY = {"meta": {"id": "a", "dt": "2024-02-15T00:00:00Z"}, "rev_id": 7}


def score() -> OutputEvent:
    return OutputEvent("mediawiki.revision-score-damaging", BODY, "eqiad", None, request(raw=edit(rev_id=7)))


def failure() -> OutputEvent:
    return failed(
        Failure("ReadEvents", "not JSON", "{", "codfw"),
        "mediawiki.revision-score.error",
        "2024-02-15T00:00:00Z",
    )


def test_events_come_back_with_what_a_failure_needs() -> None:
    first, second = decode_events(encode_events([score(), failure()]))
    assert first == score()
    assert (second.stream, second.body, second.datacenter, second.request) == (
        "mediawiki.revision-score.error",
        failure().body,
        "codfw",
        None,
    )


def test_the_format_of_version_1_is_read() -> None:
    encoded = (
        b'[1,[{"stream":"s","datacenter":"eqiad","body":{"meta":{"id":"a"}},"model":"damaging","event":{"database":"enwiki","rev_id":7}},'
        b'{"stream":"e","datacenter":"codfw","body":{"raw_event":"{"}}]]'
    )
    first, second = decode_events(encoded)
    assert first.request
    assert (first.request.model, first.request.wiki, first.request.rev_id, second.request) == (
        "damaging",
        "enwiki",
        7,
        None,
    )
    assert counted([first, first, second]) == {"eqiad.s": 2, "codfw.e": 1}
    assert decode_tag('[1,{"eqiad.s":2}]') == decode_tag(encode_tag({"eqiad.s": 2})) == {"eqiad.s": 2}


def test_a_model_is_undeliverable_while_as_much_waits_for_its_stream_as_may() -> None:
    environment = Environment(time=lambda: 0.0)
    waiting = waiting_deliveries(environment)
    waiting.note_model("damaging", "eqiad", "eqiad.d")
    waiting.note("one", {"eqiad.d": MOST_WAITING - 1})
    waiting.note("two", {"eqiad.d": 1, "eqiad.e": 3})
    assert waiting.is_undeliverable("damaging")
    assert not waiting.is_undeliverable("goodfaith")
    assert not waiting_deliveries().is_undeliverable("damaging"), "another process counts for itself"
    waiting.note("two", {"eqiad.d": 0, "eqiad.e": 3})
    assert (waiting.is_undeliverable("damaging"), waiting.counts(), waiting.keys()) == (
        False,
        {"eqiad.d": MOST_WAITING - 1, "eqiad.e": 3},
        2,
    )


def test_a_gauge_has_a_name_that_prometheus_takes() -> None:
    assert (
        gauge_name("waiting_deliveries", "eqiad.mediawiki.revision-score-damaging")
        == "waiting_deliveries_eqiad_mediawiki_revision_score_damaging"
    )
