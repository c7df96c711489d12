"""Where a job goes on."""

from __future__ import annotations

from pathlib import Path

from pipeline.flink.snapshots import Snapshots
from tests.support.snapshots import snapshot


def test_there_is_none_at_first(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    assert snapshots.remove_all_but("run") == []
    assert snapshots.newest() is None
    assert not snapshots.exist()


def test_the_one_with_the_highest_number_counts_whichever_kind_it_is_and_whatever_the_clocks_said(
    tmp_path: Path,
) -> None:
    checkpoint = snapshot(tmp_path / "checkpoints" / "run" / "chk-10", 10, age=20)
    snapshot(tmp_path / "checkpoints" / "run" / "chk-9", 9, age=-3600)
    assert Snapshots(tmp_path).newest() == checkpoint
    savepoint = snapshot(tmp_path / "savepoints" / "savepoint-1", 11, age=30)
    snapshot(tmp_path / "checkpoints" / "run" / "chk-11", 12, complete=False)
    snapshot(tmp_path / "savepoints" / "savepoint-2", 13, complete=False)
    assert Snapshots(tmp_path).newest() == savepoint


def test_what_is_no_snapshot_of_flinks_or_has_failed_is_passed_over_and_named(tmp_path: Path) -> None:
    good, cut, empty, other = (
        snapshot(tmp_path / "savepoints" / name, 1) for name in ("good", "cut", "empty", "other")
    )
    (cut / "_metadata").write_bytes(b"I`g-")
    (empty / "_metadata").write_bytes(b"")
    (other / "_metadata").write_bytes(b"x" * 100)
    snapshots = Snapshots(tmp_path)
    assert snapshots.newest() == good
    snapshots.mark_failed(good, "no file")
    assert snapshots.newest() is None
    assert snapshots.exist()
    assert snapshots.failed() == {
        good: "no file",
        **dict.fromkeys((cut, empty, other), "it is no snapshot of Flink's"),
    }
    snapshots.forget_failures()
    assert snapshots.newest() == good


def test_of_other_runs_nothing_is_kept_and_of_this_one_all(tmp_path: Path) -> None:
    snapshot(tmp_path / "checkpoints" / "old" / "chk-99", 99)
    snapshot(tmp_path / "savepoints" / "savepoint-1", 100)
    newest = snapshot(tmp_path / "checkpoints" / "new" / "chk-1", 1)
    shared = snapshot(tmp_path / "checkpoints" / "new" / "shared", 2, complete=False)
    assert Snapshots(tmp_path).remove_all_but("new") == []
    assert Snapshots(tmp_path).newest() == newest
    assert shared.is_dir()
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["new"]
