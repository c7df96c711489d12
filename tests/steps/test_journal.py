"""Journals: what is written to them, and what of it is there for whoever goes on."""

from __future__ import annotations

from pathlib import Path

import orjson

from tests.support.events import edit
from tests.support.journals import ERRORS, HOUR, NOW, STREAM, failure, score, scored, write_journals
from transforms.datasets.journal import (
    drop_failures,
    entries,
    journals,
    scores_in_order,
)
from transforms.datasets.scored_before import ScoredBefore
from transforms.elements import Failure
from transforms.events.error_events import failed
from transforms.events.source_events import event_of


def test_each_event_is_in_the_journal_of_its_partition_and_model(tmp_path: Path) -> None:
    of_time = "datacenter=codfw/year=2024/month=2/day=5/hour=1"
    write_journals(
        tmp_path,
        score(1),
        score(2, partition=None, dt="2024-02-05T01:00:00Z"),
        failure(3),
        failure(4, partition=None),  # by the time of its original
        # by the time when it was noticed
        failed(Failure("ReadEvents", "not JSON", "no event", "codfw"), ERRORS, NOW),
        # of any partition
        failed(Failure("ReadEvents", "cannot be read", "in/a.parquet", "codfw", retryable=True), ERRORS, NOW),
    )
    found = {
        (partition, model): [(entry.failure, entry.body.get("rev_id")) for entry in entries(journal)]
        for partition, model, journal in journals(tmp_path)
    }
    assert found == {
        (HOUR, "damaging"): [(False, 1), (True, None), (True, None)],
        (of_time, "damaging"): [(False, 2)],
        ("datacenter=codfw/year=2024/month=2/day=15/hour=0", None): [(True, None)],
        ("_", None): [(True, None)],
    }


def test_many_partitions_at_once_keep_few_files_open_and_every_event(tmp_path: Path) -> None:
    hours = [
        f"datacenter=eqiad/year=2024/month=2/day={day}/hour={hour}"
        for day in range(1, 5)
        for hour in range(24)
    ]
    write_journals(tmp_path, *(score(rev_id, hours[rev_id % len(hours)]) for rev_id in range(5 * len(hours))))
    found = {
        partition: [entry.body["rev_id"] for entry in entries(journal)]
        for partition, _, journal in journals(tmp_path)
    }
    assert found == {
        hour: [number + len(hours) * turn for turn in range(5)] for number, hour in enumerate(hours)
    }


def test_what_a_killed_process_wrote_to_its_half_is_not_there(tmp_path: Path) -> None:
    write_journals(tmp_path, score(2), score(1), failure(3))
    (file,) = tmp_path.rglob("*.jsonl")
    file.write_bytes(file.read_bytes() + b'["a torn li')
    journal = file.parent
    assert [entry.failure for entry in entries(journal)] == [False, False, True]
    assert [row["rev_id"] for row in scores_in_order(journal, journal)] == [1, 2]
    assert drop_failures(tmp_path) == 1
    assert [entry.body["rev_id"] for entry in entries(journal)] == [2, 1]


def test_more_scores_than_fit_into_memory_come_in_order_and_each_once(tmp_path: Path) -> None:
    """Of half a megabyte each, so that they are sorted in several files. One that comes again, in the journal
    or as a row that is there, comes once, as the journal has it first."""
    numbers = [number * 37 % 101 for number in range(101)]
    lines = [
        orjson.dumps([{**scored(rev_id), "pad": "x" * 500_000, "turn": turn}, False, False])
        for turn in range(2)
        for rev_id in numbers
    ]
    journal = tmp_path / "journal"
    journal.mkdir()
    (journal / "one.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    kept = [{**scored(rev_id), "turn": "kept"} for rev_id in range(90, 110)]
    found = [(row["rev_id"], row["turn"]) for row in scores_in_order(journal, tmp_path, kept)]
    assert found == [(rev_id, 0) for rev_id in range(101)] + [(rev_id, "kept") for rev_id in range(101, 110)]


def test_what_is_there_need_not_be_asked_for(tmp_path: Path) -> None:
    event = event_of(edit(), "codfw", HOUR)
    done = ScoredBefore(
        str(tmp_path), {"damaging": STREAM, "goodfaith": "other"}, frozenset({("goodfaith", HOUR)})
    )
    assert (done(event, "damaging"), done(event, "goodfaith")) == (False, True)
    assert not done(event_of(edit(dt="never"), "codfw"), "damaging")
    assert not done(event_of(edit(meta=7), "codfw", HOUR), "damaging")
