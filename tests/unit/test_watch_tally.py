"""What the live page counts."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pipeline.watch.model_stats import ModelStats
from pipeline.watch.rolling_window import RecentCounts
from pipeline.watch.tally import Tally
from tests.support.events import edit
from tests.support.watched import NOW, failure, models, score


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    return Tally(models(tmp_path, "damaging"))


@pytest.fixture
def damaging(tally: Tally) -> ModelStats:
    return tally.models["damaging"]


SOURCE, OF_DAMAGING, FAILED = (
    "eqiad.mediawiki.revision-create",
    "eqiad.mediawiki.revision-score-damaging",
    "eqiad.mediawiki.revision-score.error",
)


def test_an_edit_waits_until_its_score_or_failure_comes(tally: Tally, damaging: ModelStats) -> None:
    for rev_id in (1, 2, 3):
        tally.add(SOURCE, orjson.dumps(edit(rev_id=rev_id)), NOW - 8 + rev_id, NOW)
    assert (damaging.waiting, damaging.waiting_since) == (3, NOW - 7)
    tally.add(OF_DAMAGING, score(edit(rev_id=1)), NOW - 4, NOW)
    tally.add(FAILED, failure(edit(rev_id=2), "503: no healthy upstream"), NOW - 3, NOW)
    assert (damaging.waiting, damaging.waiting_since) == (1, NOW - 5)
    assert damaging.failures.total == {"503: no healthy upstream": 1}
    assert [(each.asked, each.scored, each.failed, each.seconds) for each in damaging.last(2, NOW + 5)] == [
        (3, 0, 0, []),
        (0, 1, 1, [3.0]),
    ]
    assert (tally.edits.total, tally.scores.total, tally.failures.total) == (
        {"enwiki": 3},
        {"enwiki": 1},
        {"enwiki": 1},
    )


def test_a_score_that_is_read_before_its_edit_is_counted_once(tally: Tally, damaging: ModelStats) -> None:
    tally.add(OF_DAMAGING, score(edit(rev_id=1)), NOW - 1, NOW)
    tally.add(SOURCE, orjson.dumps(edit(rev_id=1)), NOW - 3, NOW)
    assert damaging.waiting == 0
    assert [(each.asked, each.scored, each.seconds) for each in damaging.last(1, NOW + 5)] == [(1, 1, [2.0])]


def test_a_repeat_leaves_the_figures_as_they_are_but_for_what_came(
    tally: Tally, damaging: ModelStats
) -> None:
    tally.add(SOURCE, orjson.dumps(edit(rev_id=1)), NOW - 2, NOW)
    for _ in range(3):
        tally.add(OF_DAMAGING, score(edit(rev_id=1)), NOW - 1, NOW)
    assert damaging.waiting == 0
    assert [(each.scored, each.seconds) for each in damaging.last(1, NOW + 5)] == [(3, [1.0])]


@pytest.mark.parametrize(
    "garbage", [b"", b"not json", b"[]", b"{}", b'{"database": 7, "rev_id": "x"}', b"\xff\x00", None]
)
def test_garbage_changes_no_figure(tally: Tally, damaging: ModelStats, garbage: bytes | None) -> None:
    for topic in (SOURCE, OF_DAMAGING, FAILED):
        tally.add(topic, garbage, NOW, NOW)
    assert (damaging.waiting, damaging.failures.total, tally.edits.total, list(tally.latest)) == (
        0,
        {},
        {},
        [],
    )
    assert tally.unreadable == {OF_DAMAGING: 1, FAILED: 1}


def test_a_canary_and_a_failure_before_any_model_are_told_apart(tally: Tally) -> None:
    tally.add(SOURCE, orjson.dumps(edit(meta={"domain": "canary"})), NOW, NOW)
    tally.add(FAILED, failure({}, "no $schema", None, "ReadEvents"), NOW, NOW)
    assert (tally.edits.total, tally.without_model.total) == ({}, {"no $schema": 1})
    assert tally.last_event == NOW


def test_what_was_asked_before_anything_was_heard_of_the_stream_is_not_waited_for(
    tally: Tally, damaging: ModelStats
) -> None:
    for rev_id, at in ((1, NOW - 500), (2, NOW - 100), (3, NOW - 20)):
        tally.add(SOURCE, orjson.dumps(edit(rev_id=rev_id)), at, NOW)
    tally.add(OF_DAMAGING, score(edit(rev_id=2)), NOW - 99, NOW)
    tally.finish_history()
    assert (damaging.waiting, damaging.waiting_since) == (1, NOW - 20)


def test_what_never_comes_is_given_up_unless_its_model_is_parked(tally: Tally, damaging: ModelStats) -> None:
    tally.add(SOURCE, orjson.dumps(edit(rev_id=1)), NOW, NOW)
    tally.parked = {"damaging"}
    tally.forget(NOW + 4000)
    assert damaging.waiting == 1
    tally.parked = set()
    tally.forget(NOW + 4000)
    assert (damaging.waiting, damaging.given_up) == (0, 1)


def test_what_claims_to_come_from_the_future_or_from_long_ago_has_no_line(
    tally: Tally, damaging: ModelStats
) -> None:
    tally.add(SOURCE, orjson.dumps(edit(rev_id=1)), NOW + 1e9, NOW)
    tally.add(SOURCE, orjson.dumps(edit(rev_id=2)), 0.0, NOW)
    assert sum(each.asked for each in damaging.all(NOW + 5)) == 1
    assert damaging.waiting == 2


def test_counts_are_of_ten_minutes() -> None:
    counts = RecentCounts()
    counts.add("enwiki", NOW, NOW)
    counts.add("enwiki", NOW + 300, NOW + 300)
    counts.forget(NOW + 650)
    assert counts.total == {"enwiki": 1}
    assert counts.per_s(1, NOW + 305) == 0.2


def test_a_score_is_shown_with_its_words_and_its_diff(tally: Tally) -> None:
    tally.add(OF_DAMAGING, score(edit(rev_id=7, page_title="<b>Ä_‮x")), NOW, NOW)
    tally.add(
        OF_DAMAGING,
        score(edit(rev_id=8, meta={"domain": 'evil.example/"><script>', "dt": "2023-11-14T22:13:22Z"})),
        NOW,
        NOW,
    )
    (first, second) = tally.latest
    assert (first.title, first.said, first.diff) == (
        "<b>Ä ‮x",
        "false (true 0.125)",
        "https://en.wikipedia.org/w/index.php?diff=7",
    )
    assert second.diff is None
