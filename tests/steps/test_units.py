"""Units of work: what a journal becomes, and what is left when a run is killed or the disk is full while it
does."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import orjson
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import schemas
from tests.support.events import edit, request
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.event_files import InputFile, read_file
from transforms.datasets.journal import (
    ScoredBefore,
    drop_failures,
    entries,
    journals,
    scores_in_order,
)
from transforms.datasets.journal_sink import Journals
from transforms.datasets.manifests import MANIFEST, MadeOf, find_partition
from transforms.datasets.part_files import PART_FILES
from transforms.datasets.places import remove_tree
from transforms.datasets.units import Unit, UnitIncompleteError, commit_unit
from transforms.elements import Failure, OutputEvent
from transforms.events.error_events import failed
from transforms.events.source_events import event_of
from transforms.models.model import Model

HOUR = "datacenter=codfw/year=2024/month=2/day=5/hour=0"
STREAM = "mediawiki.revision-score-damaging"
ERRORS = "mediawiki.revision-score.error"
NOW = "2024-02-15T00:00:00.000000Z"


def scored(rev_id: int, dt: str = "2024-02-05T00:30:00Z") -> dict[str, Any]:
    one = {
        "model_name": "damaging",
        "model_version": "1",
        "prediction": ["true"],
        "probability": {"false": 0.25, "true": 0.75},
    }
    meta = {"stream": STREAM, "id": f"id of {rev_id}", "dt": NOW}
    return {
        "$schema": "/mediawiki/revision/score/3.0.0",
        "dt": dt,
        "meta": meta,
        "database": "enwiki",
        "rev_id": rev_id,
        "scores": {"damaging": one},
    }


def score(rev_id: int, partition: str | None = HOUR, dt: str = "2024-02-05T00:30:00Z") -> OutputEvent:
    return OutputEvent(
        STREAM, scored(rev_id, dt), "codfw", partition, request(raw=edit(rev_id=rev_id, dt=dt))
    )


def failure(
    rev_id: int, partition: str | None = HOUR, model: str | None = "damaging", *, retryable: bool = False
) -> OutputEvent:
    original = orjson.dumps(edit(rev_id=rev_id, dt="2024-02-05T00:30:00Z")).decode()
    return failed(
        Failure(
            "ScoreWithLiftWing", f"404: no revision {rev_id}", original, "codfw", model, partition, retryable
        ),
        ERRORS,
        NOW,
    )


def write(folder: Path, *events: OutputEvent) -> None:
    with beam.Pipeline(FnApiRunner()) as p:
        _ = p | beam.Create(events, reshuffle=False) | Journals(folder)


@pytest.fixture
def writer(tmp_path: Path) -> DatasetWriter:
    (tmp_path / "out" / ".working").mkdir(parents=True)
    return DatasetWriter(tmp_path / "out", "parquet", {"damaging": STREAM}, ERRORS)


def rows(partition: Path) -> list[Mapping[str, Any]]:
    return [
        orjson.loads(raw.data) if isinstance(raw.data, bytes) else raw.data
        for path in sorted(partition.glob("part-*"))
        for raw in read_file(InputFile(str(path), "", None))
    ]


def commit(writer: DatasetWriter, journal: Path, *, added: bool = False) -> Counter[str]:
    model = Model("damaging", STREAM, {})
    about = {"run": "one", **MadeOf().as_json()}
    return commit_unit(
        writer,
        Unit(model, HOUR, journal, (lambda row: True) if added else None, lambda row: added, added, about),
    )


# Journals


def test_each_event_is_in_the_journal_of_its_partition_and_model(tmp_path: Path) -> None:
    of_time = "datacenter=codfw/year=2024/month=2/day=5/hour=1"
    write(
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
    write(tmp_path, *(score(rev_id, hours[rev_id % len(hours)]) for rev_id in range(5 * len(hours))))
    found = {
        partition: [entry.body["rev_id"] for entry in entries(journal)]
        for partition, _, journal in journals(tmp_path)
    }
    assert found == {
        hour: [number + len(hours) * turn for turn in range(5)] for number, hour in enumerate(hours)
    }


def test_what_a_killed_process_wrote_to_its_half_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, score(2), score(1), failure(3))
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


# Units


@pytest.mark.parametrize("form", PART_FILES)
def test_a_whole_journal_becomes_a_partition(writer: DatasetWriter, tmp_path: Path, form: str) -> None:
    writer = DatasetWriter(writer.root, form, writer.streams, writer.failure_stream)
    journal = writer.working / "journals" / HOUR / "damaging"
    write(writer.working / "journals", score(3), score(1), failure(2), score(1))
    assert commit(writer, journal) == {"404: no revision 2": 1}
    partition = writer.partition("damaging", HOUR)
    assert [row["rev_id"] for row in rows(partition)] == [1, 3]
    found = find_partition(partition)
    assert found is not None
    manifest = found.manifest
    assert (found.damage, manifest["v"], manifest["format"]) == ("", 1, form)
    assert [(score["wiki"], score["rev_id"]) for score in manifest["missing"]] == [("enwiki", 2)]
    assert (manifest["rows"], manifest["model_versions"], manifest["failures"], manifest["run"]) == (
        2,
        {"1": 2},
        {"404: no revision 2": 1},
        "one",
    )
    assert [row["message"] for row in rows(writer.failures(HOUR))] == ["404: no revision 2"]
    assert commit(writer, journal) == {"404: no revision 2": 1}  # as a worker does that is started again
    assert [row["rev_id"] for row in rows(partition)] == [1, 3]


def test_a_parquet_part_has_the_types_of_the_table_and_is_snappy_and_in_groups(writer: DatasetWriter) -> None:
    partition = writer.root / "t" / HOUR
    assert writer.replace(partition, schemas.REVISION_SCORE, map(scored, range(9_000))) == 9_000
    (part,) = partition.glob("part-*.parquet")
    found = pq.ParquetFile(part)
    assert found.schema_arrow.remove_metadata() == schemas.arrow_schema("/mediawiki/revision/score/3.0.0")
    assert found.metadata.row_group(0).column(0).compression == "SNAPPY"
    assert [found.metadata.row_group(group).num_rows for group in range(found.metadata.num_row_groups)] == [
        4_000,
        4_000,
        1_000,
    ]


def test_a_journal_with_what_may_be_mended_stays(writer: DatasetWriter) -> None:
    write(writer.working / "journals", score(1), failure(2, retryable=True), failure(3))
    journal = writer.working / "journals" / HOUR / "damaging"
    with pytest.raises(UnitIncompleteError) as error:
        commit(writer, journal)
    assert error.value.reasons == {"404: no revision 2": 1}
    assert [path.name for path in writer.root.iterdir()] == [".working"]
    assert len(list(entries(journal))) == 3


def test_a_partition_is_replaced_or_added_to(writer: DatasetWriter) -> None:
    journal = writer.working / "journals" / HOUR / "damaging"
    for added, found in ((False, [1, 2]), (True, [1, 2, 5]), (False, [5])):
        write(writer.working / "journals", *map(score, [5] if found[-1] == 5 else [2, 1]))
        commit(writer, journal, added=added)
        remove_tree(journal)
        assert [row["rev_id"] for row in rows(writer.partition("damaging", HOUR))] == found


def test_a_partition_that_was_being_replaced_when_the_run_was_killed_is_there_again(
    writer: DatasetWriter,
) -> None:
    partition = writer.partition("damaging", HOUR)
    writer.replace(partition, schemas.REVISION_SCORE, [scored(1)], dict)
    backup = writer.working / "backup" / partition.relative_to(writer.root)
    backup.parent.mkdir(parents=True, exist_ok=True)
    partition.rename(backup)
    writer.recover()
    assert [row["rev_id"] for row in rows(partition)] == [1]
    assert (partition / MANIFEST).exists()
    assert list(writer.working.iterdir()) == []


def test_a_full_disk_leaves_what_is_there(writer: DatasetWriter) -> None:
    """Rows that end as a write does then."""
    partition = writer.partition("damaging", HOUR)
    writer.replace(partition, schemas.REVISION_SCORE, [scored(1)], dict)

    def until_full() -> Iterator[Mapping[str, Any]]:
        yield from map(scored, range(5_000))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        writer.replace(partition, schemas.REVISION_SCORE, until_full(), dict)
    assert [row["rev_id"] for row in rows(partition)] == [1]
    assert list((writer.working / "scratch").iterdir()) == []
