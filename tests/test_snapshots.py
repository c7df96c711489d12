"""Where a job goes on."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.snapshots import Snapshots


def snapshot(folder: Path, age: int, complete: bool = True) -> Path:
    folder.mkdir(parents=True)
    file = folder / ("_metadata" if complete else "some-state")
    file.touch()
    os.utime(file, (1_700_000_000 - age, 1_700_000_000 - age))
    return folder


def test_there_is_none_at_first(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.forget_older()
    assert snapshots.newest() is None


def test_the_newest_complete_one_counts_whichever_kind_it_is(tmp_path: Path) -> None:
    checkpoint = snapshot(tmp_path / "checkpoints" / "run" / "chk-10", age=20)
    snapshot(tmp_path / "checkpoints" / "run" / "chk-9", age=30)
    assert Snapshots(tmp_path).newest() == checkpoint
    savepoint = snapshot(tmp_path / "savepoints" / "savepoint-1", age=10)
    snapshot(tmp_path / "checkpoints" / "run" / "chk-11", age=0, complete=False)
    snapshot(tmp_path / "savepoints" / "savepoint-2", age=0, complete=False)
    assert Snapshots(tmp_path).newest() == savepoint


def test_of_older_runs_nothing_is_kept_and_of_the_newest_all(tmp_path: Path) -> None:
    snapshot(tmp_path / "checkpoints" / "old" / "chk-99", age=30)
    snapshot(tmp_path / "savepoints" / "savepoint-1", age=20)
    newest = snapshot(tmp_path / "checkpoints" / "new" / "chk-1", age=10)
    shared = snapshot(tmp_path / "checkpoints" / "new" / "shared", age=10, complete=False)
    Snapshots(tmp_path).forget_older()
    assert Snapshots(tmp_path).newest() == newest
    assert shared.is_dir()
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["new"]


def test_a_savepoint_needs_no_checkpoint(tmp_path: Path) -> None:
    snapshot(tmp_path / "checkpoints" / "run" / "chk-1", age=30)
    snapshot(tmp_path / "savepoints" / "savepoint-1", age=10)
    Snapshots(tmp_path).forget_older()
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["savepoint-1"]
