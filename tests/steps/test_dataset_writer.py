"""Partitions as files: what is in them, and what is left when a run is killed or the disk is full while they
are written."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

import schemas
from tests.support.journals import ERRORS, HOUR, STREAM, rows_at, scored
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.manifests import MANIFEST

_DAY = HOUR.rpartition("/")[0]


@pytest.fixture
def writer(tmp_path: Path) -> DatasetWriter:
    (tmp_path / "out" / ".working").mkdir(parents=True)
    return DatasetWriter(tmp_path / "out", "parquet", {"damaging": STREAM}, ERRORS)


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


def test_a_partition_that_was_being_replaced_when_the_run_was_killed_is_there_again(
    writer: DatasetWriter,
) -> None:
    partition = writer.partition("damaging", HOUR)
    writer.replace(partition, schemas.REVISION_SCORE, [scored(1)], dict)
    backup = writer.working / "backup" / partition.relative_to(writer.root)
    backup.parent.mkdir(parents=True, exist_ok=True)
    partition.rename(backup)
    writer.recover()
    assert [row["rev_id"] for row in rows_at(partition)] == [1]
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
    assert [row["rev_id"] for row in rows_at(partition)] == [1]
    assert list((writer.working / "scratch").iterdir()) == []


def test_a_part_that_is_large_enough_is_followed_by_another(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path, "jsonl", part_bytes=20_000)
    scores = [{"meta": {"id": f"{number * 7919 % 60_000:x}"}, "rev_id": number} for number in range(40_000)]
    schema = "/mediawiki/revision/score/3.0.0"
    assert writer.replace(tmp_path / "t" / _DAY, schema, scores, dict) == 40_000
    parts = sorted((tmp_path / "t" / _DAY).glob("part-*"))
    manifest = orjson.loads((tmp_path / "t" / _DAY / MANIFEST).read_bytes())
    assert len(parts) > 2
    assert sorted(file["name"] for file in manifest["files"]) == [part.name for part in parts]
    assert manifest["rows"] == 40_000
    names = {part.name for part in parts}
    assert writer.replace(tmp_path / "t" / _DAY, schema, scores[:10], dict) == 10
    (left,) = (tmp_path / "t" / _DAY).glob("part-*")
    assert left.name in names
