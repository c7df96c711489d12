"""A job is watched, started again when it is gone, and ended with a savepoint: against a JobManager that does
as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.flink.deployments import Run
from pipeline.flink.job import FlinkJob
from pipeline.flink.rest import FlinkRest, UnreachableError
from pipeline.flink.snapshots import Snapshots
from pipeline.flink.submission import BadSnapshotError, JobLostError
from pipeline.flink.supervisor import JobMonitor, supervise
from pipeline.health.flink_monitor import FlinkMonitor
from pipeline.process.child_process import ServerError
from pipeline.usage_error import UsageError
from tests.support.snapshots import snapshot

READY = "reading"
RESTORE = (
    "a.B: x\n\tat org.apache.flink.streaming.api.operators."
    "StreamTaskStateInitializerImpl.streamOperatorStateContext(X.java:1)\n"
    "Caused by: d.E: no file\n"
)


class JobManager:
    """Answers for one job; `states` are what it says of it, one after the other, the last for ever; None: it
    knows no such job."""

    def __init__(self, *states: str | None) -> None:
        self.states = list(states)
        self.all_said = threading.Event()
        self.savepoint_fails = ""
        self.checkpoints = self.restores = 0  # completed; ended at the state
        self.odd: tuple[int, bytes] | None = None  # what it answers to everything
        self.asked: list[str] = []
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                status, body = manager.answer(
                    self.command, self.path, json.loads(self.rfile.read(length)) if length else None
                )
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            do_GET = do_POST = do_PATCH = answer  # noqa: N815 (http.server's names)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.rest = FlinkRest(f"127.0.0.1:{self._server.server_port}")

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if self.odd is not None:
            return self.odd
        if method != "GET":
            self.asked.append(f"{method} {path}")
        if path == "/jobs/7/savepoints":
            Path(body["target-directory"].removeprefix("file://")).mkdir(parents=True, exist_ok=True)
            return 202, {"request-id": "1"}
        if path == "/jobs/7/savepoints/1":
            if self.savepoint_fails:
                return 200, {
                    "status": {"id": "COMPLETED"},
                    "operation": {"failure-cause": {"stack-trace": self.savepoint_fails}},
                }
            self.states = ["CANCELED"]
            return 200, {"status": {"id": "COMPLETED"}, "operation": {"location": "file:/savepoint"}}
        if path == "/jobs/7/checkpoints":
            return 200, {"counts": {"completed": self.checkpoints}}
        if path == "/jobs/7/exceptions":
            entries = [{"stacktrace": "a.B: x\n\tat a.C\nCaused by: d.E: no room\n\tat d.F\n"}]
            return 200, {
                "exceptionHistory": {"entries": self.restores * [{"stacktrace": RESTORE}] or entries}
            }
        if method == "PATCH":
            self.states = ["CANCELED"]
            return 202, {}
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if len(self.states) == 1:
            self.all_said.set()
        return (404, {"errors": ["no job"]}) if state is None else (200, {"state": state})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


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
    made: list[JobManager] = []

    def make(*states: str | None) -> JobManager:
        made.append(JobManager(*states))
        return made[-1]

    yield make
    for each in made:
        each.close()


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
