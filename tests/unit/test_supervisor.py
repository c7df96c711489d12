"""A job is watched, started again when it is gone, and ended with a savepoint: against a JobManager that does
as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pipeline.flink.deployments import Run
from pipeline.flink.job import FlinkJob
from pipeline.flink.snapshots import Snapshots
from pipeline.flink.submission import BadSnapshotError, JobLostError
from pipeline.flink.supervisor import JobMonitor, supervise
from pipeline.process.child_process import ServerError
from pipeline.usage_error import UsageError
from tests.support.job_manager import JobManager, job_managers
from tests.support.snapshots import snapshot

READY = "reading"


def starts(*results: JobManager | Exception) -> Callable[[], AbstractContextManager[Run]]:
    """A start that gives a job of each JobManager in turn, or raises."""
    left = list(results)

    @contextmanager
    def start() -> Iterator[Run]:
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        yield Run(FlinkJob(result.rest, "7"), [])

    return start


@pytest.fixture
def job_manager() -> Iterator[Callable[..., JobManager]]:
    with job_managers() as start:
        yield start


def test_a_job_is_stopped_with_a_savepoint(
    job_manager: Callable[..., JobManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manager = job_manager("RUNNING", "RUNNING")
    assert supervise(starts(manager), manager.all_said, Snapshots(tmp_path), READY) == 0
    assert capsys.readouterr() == (
        "reading\nstopping with a savepoint\nstopped with a savepoint; a new run goes on from it\n",
        "",
    )
    assert manager.asked == ["POST /jobs/7/savepoints"]


def test_a_job_that_is_gone_is_started_again(
    job_manager: Callable[..., JobManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost, failed, good = (
        job_manager("RUNNING", None),
        job_manager("RESTARTING", "FAILED"),
        job_manager("RUNNING", "RUNNING"),
    )
    assert supervise(starts(lost, failed, good), good.all_said, Snapshots(tmp_path), READY) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == READY
    assert out.count(READY) == 1
    assert err.splitlines() == [
        f"revision-scores stream: {line}"
        for line in (
            f"the JobManager at {lost.rest.address} has lost the job; starting again from the last "
            "checkpoint in 1 s",
            "Flink starts the job again: no room",
            "Flink gave the job up: no room; starting again from the last checkpoint in 2 s",
        )
    ]


def test_what_never_ran_is_not_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stop = threading.Event()
    assert (
        supervise(starts(JobLostError("Flink did not take the job: no")), stop, Snapshots(tmp_path), READY)
        == 1
    )
    assert capsys.readouterr() == ("", "revision-scores stream: Flink did not take the job: no\n")
    with pytest.raises(UsageError, match="java is not on the PATH"):
        supervise(starts(ServerError("java is not on the PATH")), stop, Snapshots(tmp_path), READY)


@pytest.mark.parametrize("state", ["FINISHED", "CANCELED"])
def test_what_somebody_ended_at_flink_stays_ended(
    job_manager: Callable[..., JobManager], tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    assert (
        supervise(starts(job_manager("RUNNING", state)), threading.Event(), Snapshots(tmp_path), READY) == 1
    )
    assert (
        capsys.readouterr().err
        == f"revision-scores stream: the job was ended at Flink, not here; it is {state}\n"
    )


def test_snapshots_of_earlier_runs_go_when_this_one_has_a_checkpoint(
    job_manager: Callable[..., JobManager], tmp_path: Path
) -> None:
    manager, snapshots = job_manager("RUNNING"), Snapshots(tmp_path)
    earlier = snapshot(snapshots.savepoints / "savepoint-1", 4)
    monitor = JobMonitor(Run(FlinkJob(manager.rest, "7"), [], earlier), snapshots)
    monitor.settle()
    assert snapshots.newest() == earlier
    manager.checkpoints = 1
    own = snapshot(snapshots.checkpoints / "7" / "chk-5", 5)
    monitor.settle()
    assert snapshots.newest() == own
    assert list(snapshots.savepoints.iterdir()) == []


def test_a_snapshot_that_cannot_be_restored_is_named_and_the_one_before_it_serves(
    job_manager: Callable[..., JobManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshots, good = Snapshots(tmp_path), job_manager("RUNNING", "RUNNING")
    third, second, first = (
        snapshot(snapshots.savepoints / f"savepoint-{number}", number) for number in (3, 2, 1)
    )
    manager = job_manager("RUNNING")
    manager.restores = 3
    tried: list[Path | None] = []

    @contextmanager
    def start() -> Iterator[Run]:
        tried.append(snapshots.newest())
        if tried[-1] == third:
            raise BadSnapshotError(third, "it is cut")
        yield Run(FlinkJob((manager if tried[-1] == second else good).rest, "7"), [], tried[-1])

    assert supervise(start, good.all_said, snapshots, READY) == 0
    assert tried == [third, second, first]
    assert [line for line in capsys.readouterr().err.splitlines() if "cannot" in line] == [
        f"revision-scores stream: {third} cannot be restored: it is cut; going on from the one before it",
        f"revision-scores stream: {second} cannot be restored: no file; going on from the one before it",
    ]
    assert third.is_dir()


def test_where_no_snapshot_can_be_restored_nothing_begins_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshots = Snapshots(tmp_path)
    only = snapshot(snapshots.savepoints / "savepoint-1", 1)
    assert supervise(starts(BadSnapshotError(only, "it is cut")), threading.Event(), snapshots, READY) == 1
    said = (
        f"revision-scores stream: {only} cannot be restored: it is cut; none is left to go on from, and "
        "all are where they were\n"
    )
    assert capsys.readouterr().err == said
