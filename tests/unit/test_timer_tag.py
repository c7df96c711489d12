"""What is known of requests at rest without a look into the state: the tag of their timer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from pipeline.config.models_file import load
from tests.support.events import ROOT
from tests.support.state import NOW, pending
from transforms.async_io.timer_tag import Rest, Tag, rests_of, wake
from transforms.models.model import Endpoint

DAMAGING = load(ROOT / "pipeline" / "models.yaml").models["damaging"].endpoints["enwiki"]


class Admission:
    """Has everybody wait for so many seconds, and be patient by model."""

    def __init__(self, wait_s: float, patience_s: Mapping[str, float]) -> None:
        self._wait_s, self._patience_s = wait_s, patience_s
        self.admitted: list[tuple[int, int]] = []  # how many were counted before and now

    def admit(self, _endpoint: Endpoint, rest: Rest) -> float:
        assert (rest.entered_at, rest.late) == (NOW, True)
        self.admitted.append((rest.counted, rest.requests))
        return self._wait_s

    def patience_s(self, endpoint: Endpoint) -> float | None:
        return self._patience_s.get(endpoint.model)


def polled(
    tag: Tag,
    endpoint: Endpoint | None = DAMAGING,
    wait: float = 20.0,
    now: float = NOW + 100,
    patience: float | None = None,
) -> tuple[Tag, bool, list[tuple[int, int]]]:
    """What the tag becomes, whether its requests have to be read, and how many were counted before and
    now."""
    admission = Admission(wait, {} if patience is None else {"damaging": patience})
    return *tag.poll(now, lambda model, wiki: endpoint, admission), admission.admitted


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
    admission = Admission(0.0, {"goodfaith": inf, "draftquality": 86_400.0})
    told = Tag("one", rests_of(rests, 600, lambda model, wiki: endpoints.get(model), admission))
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
