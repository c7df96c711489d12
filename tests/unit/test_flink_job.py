"""A job at Flink is ended with a savepoint where it takes one, and whatever answers in a JobManager's
place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.flink.deployments import Run
from pipeline.flink.job import FlinkJob
from pipeline.flink.rest import UnreachableError
from pipeline.flink.snapshots import Snapshots
from pipeline.flink.supervisor import JobMonitor
from pipeline.health.flink_monitor import FlinkMonitor
from tests.support.job_manager import JobManager, job_managers


@pytest.fixture
def job_manager() -> Iterator[Callable[..., JobManager]]:
    with job_managers() as start:
        yield start


def test_a_job_that_takes_no_savepoint_is_cancelled(
    job_manager: Callable[..., JobManager], tmp_path: Path
) -> None:
    manager = job_manager("RUNNING")
    manager.savepoint_fails = "org.apache.flink.X: y\nCaused by: org.apache.flink.Z: the disk is full\n"
    said = FlinkJob(manager.rest, "7").end(tmp_path / "savepoints", 0.5)
    assert said == "without a savepoint (the disk is full); a new run goes on from the last checkpoint"
    assert manager.asked[-1] == "PATCH /jobs/7"
    assert manager.asked.count("POST /jobs/7/savepoints") > 1, "a job that is starting takes none at first"


def test_nobody_there_is_no_savepoint(job_manager: Callable[..., JobManager], tmp_path: Path) -> None:
    manager = job_manager("RUNNING")
    manager.close()
    said = FlinkJob(manager.rest, "7").end(tmp_path / "savepoints", 0.5)
    assert (
        said
        == f"without a savepoint (no JobManager answers at {manager.rest.address}); a new run goes on from "
        "the last checkpoint"
    )


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>the gateway is busy</html>"),
        (200, b""),
        (200, b"null"),
        (200, b"7"),
        (200, b'["a list"]'),
        (200, b'{"an": "object"}'),
        (
            200,
            b'{"state": {"no": "text"}, "vertices": [null, 7, {"id": []}], "jobs": [null, {"name": 7}], '
            b'"request-id": {}}',
        ),
        (
            200,
            b'{"exceptionHistory": {"entries": [null]}, "jobs": {"jid": 1}, "taskmanagers": "many", '
            b'"counts": []}',
        ),
        (200, b'{"errors": "no list"}'),
        (200, b'{"errors": ["Bad request received."]}'),
        (200, b'{"state": "RUNN'),
        (200, b"[" * 100_000),
        (202, b'{"request-id": "1", "status": "IN_PROGRESS", "operation": [], "state": "RUNNING"}'),
        (400, b'{"errors": ["Bad request received."]}'),
        (404, b"<html>not found</html>"),
        (404, b"[]"),
        (503, b"busy"),
    ],
)
def test_whatever_answers_in_a_job_managers_place_ends_nothing(
    job_manager: Callable[..., JobManager], tmp_path: Path, answer: tuple[int, bytes]
) -> None:
    manager = job_manager("RUNNING")
    manager.odd = answer
    job, rest = FlinkJob(manager.rest, "7"), manager.rest
    for look in (
        job.state,
        job.why,
        job.failed_restores,
        job.completed_checkpoints,
        lambda: rest.job_ids("x"),
        rest.version,
        rest.task_managers,
        rest.free_slots,
    ):
        with suppress(UnreachableError):
            look()
    monitor = JobMonitor(Run(job, [], tmp_path), Snapshots(tmp_path))
    monitor.settle()
    assert monitor.check_ended() is False
    facts = FlinkMonitor(lambda: rest.address, "x").facts()
    assert facts
    assert facts.metrics == {}
    assert job.end(tmp_path / "savepoints", 0.1).startswith("without a savepoint (")
