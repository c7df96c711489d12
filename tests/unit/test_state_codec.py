"""What rests in Flink's state, and what is known of it without a look into the state."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from pipeline.config.models_file import load
from tests.support.events import ABSENT, ROOT, edit, request
from transforms.async_io.keying import KeyByBundle, KeyByEvent
from transforms.async_io.score_fn import PendingRequest
from transforms.async_io.state_codec import (
    Rest,
    Tag,
    UnknownFormatError,
    decode_pending,
    encode_pending,
    tag_of,
    wake,
)
from transforms.elements import Event, ScoreRequest
from transforms.events.source_events import event_of, key_of
from transforms.models.model import Endpoint

DAMAGING = load(ROOT / "pipeline" / "models.yaml").models["damaging"].endpoints["enwiki"]
NOW = 1_700_000_000.0


def pending(rev_id: int, model: str = "damaging", event: Event | None = None, **told: Any) -> PendingRequest:
    event = event or event_of(edit(rev_id=rev_id), "eqiad")
    return PendingRequest(
        ScoreRequest(event, model),
        **{"entered_at": NOW, "asked_at": NOW, **told},
    )


@pytest.mark.parametrize("partition", [None, "datacenter=codfw/year=2021/month=8/day=27/hour=13"])
def test_what_rests_in_state_comes_back_as_it_was(partition: str | None) -> None:
    event = event_of(edit(comment="\u00e9\U0001f600"), "codfw", partition)
    fresh = pending(0, event=event)
    tried = pending(
        0, "goodfaith", event, tries=3, strikes=2, due=NOW + 9.5, reason="503: no healthy upstream"
    )
    assert decode_pending(encode_pending([fresh, pending(7), tried])) == [fresh, tried, pending(7)]


def test_the_format_of_what_rests_in_state_is_frozen() -> None:
    """A change of it needs a new version, and a reader of this one."""
    event = event_of(edit(), "eqiad")
    tried = pending(0, "goodfaith", event, asked_at=1.5, tries=2, strikes=1, due=9.0, reason="503: down")
    encoded = encode_pending([pending(0, event=event, asked_at=1.5), tried])
    common = {"wiki": "enwiki", "rev_id": 1040920135, "entered_at": NOW, "asked_at": 1.5}
    requests = [
        {"model": "damaging", **common, "tries": 0, "strikes": 0, "due": 0.0, "reason": ""},
        {"model": "goodfaith", **common, "tries": 2, "strikes": 1, "due": 9.0, "reason": "503: down"},
    ]
    assert orjson.loads(encoded) == {
        "v": 1,
        "events": [{"event": edit(), "datacenter": "eqiad", "partition": None, "requests": requests}],
    }


@pytest.mark.parametrize(
    "encoded", [b'[{"event":{},"datacenter":"eqiad","partition":null,"models":{}}]', b'{"v":2,"events":[]}']
)
def test_what_another_version_wrote_is_refused_with_its_format(encoded: bytes) -> None:
    with pytest.raises(
        UnknownFormatError,
        match=r"expected waiting requests in format 1, got .*; go on with the version that wrote this state",
    ):
        decode_pending(encoded)


def test_an_event_that_comes_again_has_the_same_key_and_no_other_event() -> None:
    assert (
        key_of(event_of(edit(), "eqiad"))
        == "enwiki/1040920135/040c4b69-317a-43e2-8c9c-474446e23df7"
        == key_of(event_of(edit(comment="other"), "codfw"))
    )
    assert (
        key_of(event_of(edit(meta=ABSENT), "eqiad"))
        == key_of(event_of(edit(meta=7), "eqiad"))
        == "enwiki/1040920135/None"
    )


def test_what_comes_in_one_bundle_shares_keys_and_nothing_is_left_out() -> None:
    batches = [(request(raw=edit(rev_id=rev_id)),) for rev_id in range(25)]
    with TestPipeline(FnApiRunner()) as p:
        keyed = p | beam.Create(batches, reshuffle=False) | KeyByBundle()
        revisions = keyed | beam.MapTuple(
            lambda key, encoded: [each.request.rev_id for each in decode_pending(encoded)]
        )
        assert_that(revisions, equal_to([[*range(10)], [*range(10, 20)], [*range(20, 25)]]))
        assert_that(
            keyed | beam.Keys() | beam.Distinct() | beam.combiners.Count.Globally(),
            equal_to([3]),
            label="keys",
        )


def test_an_event_that_must_be_known_again_has_a_key_of_its_own() -> None:
    batches = [(request(raw=edit(rev_id=rev_id)),) for rev_id in (1, 2, 1)]
    with TestPipeline(FnApiRunner()) as p:
        keyed = p | beam.Create(batches, reshuffle=False) | KeyByEvent()
        assert_that(
            keyed | beam.Keys(),
            equal_to([key_of(event_of(edit(rev_id=rev_id), "eqiad")) for rev_id in (1, 1, 2)]),
        )


# The tag of a timer


def polled(
    tag: Tag,
    endpoint: Endpoint | None = DAMAGING,
    wait: float = 20.0,
    now: float = NOW + 100,
    patience: float | None = None,
) -> tuple[Tag, bool, list[tuple[int, int]]]:
    """What the tag becomes, whether its requests have to be read, and how many were counted before and
    now."""
    told: list[tuple[int, int]] = []

    def admit(_endpoint: Endpoint, entered_at: float, late: bool, counted: int, requests: int) -> float:
        assert (entered_at, late) == (NOW, True)
        told.append((counted, requests))
        return wait

    return *tag.poll(now, lambda model, wiki: endpoint, lambda _endpoint: patience, admit), told


def tag(counted: int = 2, due: float = NOW, until: float | None = NOW + 600, frozen: bool = False) -> Tag:
    return Tag("one", [Rest("damaging", "enwiki", 2, counted, NOW, due, until, frozen)])


def test_a_tag_tells_of_all_that_rests_by_endpoint() -> None:
    rests = [
        pending(1, due=NOW + 3, counted=True),
        pending(2, due=NOW + 2, asked_at=NOW - 5),
        pending(3, "goodfaith", due=NOW + 9),
        pending(4, "draftquality", due=NOW + 9),
        pending(5, "gone", due=NOW + 9),
    ]
    endpoints = {
        "damaging": DAMAGING,
        "goodfaith": replace(DAMAGING, model="goodfaith"),
        "draftquality": replace(DAMAGING, model="draftquality"),
    }
    patience = {"goodfaith": inf, "draftquality": 86_400.0}
    told = tag_of(
        "one",
        rests,
        600,
        lambda model, wiki: endpoints.get(model),
        lambda endpoint: patience.get(endpoint.model),
    )
    assert told == Tag(
        "one",
        [
            Rest("damaging", "enwiki", 2, 1, NOW, NOW + 2, NOW + 595, False),
            Rest("goodfaith", "enwiki", 1, 0, NOW, NOW + 9, None, True),
            Rest("draftquality", "enwiki", 1, 0, NOW, NOW + 9, NOW + 86_400, True),
            Rest("gone", "enwiki", 1, 0, NOW, NOW + 9, NOW + 600, False),
        ],
    )
    assert told.due == NOW + 2
    assert Tag.decode(told.encode()) == told


def test_the_format_of_a_tag_is_frozen() -> None:
    assert (
        tag().encode() == '[1,"one",[["damaging","enwiki",2,2,1700000000.0,1700000000.0,1700000600.0,false]]]'
    )
    assert Tag.decode('[2,"one",[["of","another","version"]]]') == Tag("", ()), "which has the requests read"


def test_what_still_finds_no_room_is_not_read() -> None:
    assert polled(tag()) == (tag(due=NOW + 120), False, [(2, 2)])
    assert polled(tag(due=NOW + 200)) == (tag(due=NOW + 200), False, [])
    assert polled(tag(), wait=1800.0) == (tag(due=NOW + 600), False, [(2, 2)]), (
        "nobody sleeps until after it is too old"
    )


def test_what_has_room_or_is_too_old_or_has_no_endpoint_is_read() -> None:
    assert polled(tag(), wait=0.0)[1:] == (True, [(2, 2)])
    assert polled(tag(), now=NOW + 600) == (tag(), True, [])
    assert polled(tag(), endpoint=None) == (tag(), True, [])
    assert polled(Tag.decode(""))[1] is True, "a timer without a tag"


def test_a_stopped_endpoint_ages_nobody() -> None:
    assert polled(tag(), patience=inf) == (tag(due=NOW + 120, until=None, frozen=True), False, [(2, 2)])
    assert polled(tag(until=None, frozen=True), patience=inf, now=NOW + 10**6) == (
        tag(due=NOW + 10**6 + 20, until=None, frozen=True),
        False,
        [(2, 2)],
    )
    called_again, has_to_be_read, _ = polled(tag(until=None, frozen=True))
    assert has_to_be_read
    rests = [pending(1, asked_at=NOW - 10**6), pending(2), pending(3, "goodfaith")]
    wake(called_again, rests, NOW + 7)
    assert rests == [
        pending(1, asked_at=NOW + 7, counted=True, late=True),
        pending(2, asked_at=NOW + 7, counted=True, late=True),
        pending(3, "goodfaith", late=True),
    ]


def test_an_endpoint_that_refuses_everybody_ages_nobody_for_a_day() -> None:
    assert polled(tag(), patience=86_400.0) == (
        tag(due=NOW + 120, until=NOW + 86_400, frozen=True),
        False,
        [(2, 2)],
    )
    assert polled(tag(until=NOW + 86_400, frozen=True), patience=86_400.0, now=NOW + 86_400)[1] is True


def test_who_waits_is_counted_anew_by_another_process() -> None:
    assert tag().rebound("one") == tag()
    assert tag().rebound("two") == replace(tag(counted=0), process="two")
