"""Units of work: what a journal becomes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.journals import ERRORS, HOUR, STREAM, failure, rows_at, score, write_journals
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.journal import (
    entries,
)
from transforms.datasets.manifests import MadeOf, find_partition
from transforms.datasets.part_files import PART_FILES
from transforms.datasets.partition_commit import Unit, UnitIncompleteError, commit_unit
from transforms.datasets.storage_paths import remove_tree
from transforms.models.model import Model


@pytest.fixture
def writer(tmp_path: Path) -> DatasetWriter:
    (tmp_path / "out" / ".working").mkdir(parents=True)
    return DatasetWriter(tmp_path / "out", "parquet", {"damaging": STREAM}, ERRORS)


def commit(writer: DatasetWriter, journal: Path, *, added: bool = False) -> Counter[str]:
    model = Model("damaging", STREAM, {})
    about = {"run": "one", **MadeOf().as_json()}
    return commit_unit(
        writer,
        Unit(model, HOUR, journal, (lambda row: True) if added else None, lambda row: added, added, about),
    )


@pytest.mark.parametrize("form", PART_FILES)
def test_a_whole_journal_becomes_a_partition(writer: DatasetWriter, tmp_path: Path, form: str) -> None:
    writer = DatasetWriter(writer.root, form, writer.streams, writer.failure_stream)
    journal = writer.working / "journals" / HOUR / "damaging"
    write_journals(writer.working / "journals", score(3), score(1), failure(2), score(1))
    assert commit(writer, journal) == {"404: no revision 2": 1}
    partition = writer.partition("damaging", HOUR)
    assert [row["rev_id"] for row in rows_at(partition)] == [1, 3]
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
    assert [row["message"] for row in rows_at(writer.failures(HOUR))] == ["404: no revision 2"]
    assert commit(writer, journal) == {"404: no revision 2": 1}  # as a worker does that is started again
    assert [row["rev_id"] for row in rows_at(partition)] == [1, 3]


def test_a_journal_with_what_may_be_mended_stays(writer: DatasetWriter) -> None:
    write_journals(writer.working / "journals", score(1), failure(2, retryable=True), failure(3))
    journal = writer.working / "journals" / HOUR / "damaging"
    with pytest.raises(UnitIncompleteError) as error:
        commit(writer, journal)
    assert error.value.reasons == {"404: no revision 2": 1}
    assert [path.name for path in writer.root.iterdir()] == [".working"]
    assert len(list(entries(journal))) == 3


def test_a_partition_is_replaced_or_added_to(writer: DatasetWriter) -> None:
    journal = writer.working / "journals" / HOUR / "damaging"
    for added, found in ((False, [1, 2]), (True, [1, 2, 5]), (False, [5])):
        write_journals(writer.working / "journals", *map(score, [5] if found[-1] == 5 else [2, 1]))
        commit(writer, journal, added=added)
        remove_tree(journal)
        assert [row["rev_id"] for row in rows_at(writer.partition("damaging", HOUR))] == found
