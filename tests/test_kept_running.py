"""A job is watched, started again when it is gone, and ended with a savepoint: against a JobManager that does as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.flink_jobs import FlinkJob, FlinkRest
from pipeline.kept_running import keep_running
from pipeline.on_flink import Lost, Run
from pipeline.servers import ServerError
from pipeline.wrong_use import WrongUse

READY = "reading"


class JobManager:
    """Answers for one job; `states` are what it says of it, one after the other, the last for ever; None: it knows no such job."""

    def __init__(self, *states: str | None) -> None:
        self.states = list(states)
        self.all_said = threading.Event()
        self.savepoint_fails = ""
        self.asked: list[str] = []
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                status, body = manager.answer(self.command, self.path, json.loads(self.rfile.read(length)) if length else None)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            do_GET = do_POST = do_PATCH = answer  # noqa: N815 (http.server's names)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.rest = FlinkRest(f"127.0.0.1:{self._server.server_port}")

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method != "GET":
            self.asked.append(f"{method} {path}")
        if path == "/jobs/7/savepoints":
            Path(body["target-directory"].removeprefix("file://")).mkdir(parents=True, exist_ok=True)
            return 202, {"request-id": "1"}
        if path == "/jobs/7/savepoints/1":
            if self.savepoint_fails:
                return 200, {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"stack-trace": self.savepoint_fails}}}
            self.states = ["CANCELED"]
            return 200, {"status": {"id": "COMPLETED"}, "operation": {"location": "file:/savepoint"}}
        if path == "/jobs/7/exceptions":
            return 200, {"exceptionHistory": {"entries": [{"stacktrace": "a.B: x\n\tat a.C\nCaused by: d.E: no room\n\tat d.F\n"}]}}
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


def test_a_job_is_stopped_with_a_savepoint(job_manager: Callable[..., JobManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manager = job_manager("RUNNING", "RUNNING")
    assert keep_running(starts(manager), manager.all_said, tmp_path / "savepoints", READY) == 0
    assert capsys.readouterr() == ("reading\nstopping with a savepoint\nstopped with a savepoint; a new run goes on from it\n", "")
    assert manager.asked == ["POST /jobs/7/savepoints"]


def test_a_job_that_is_gone_is_started_again(job_manager: Callable[..., JobManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost, failed, good = job_manager("RUNNING", None), job_manager("RESTARTING", "FAILED"), job_manager("RUNNING", "RUNNING")
    assert keep_running(starts(lost, failed, good), good.all_said, tmp_path, READY) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == READY
    assert out.count(READY) == 1
    assert err.splitlines() == [
        f"revision-scores stream: {line}"
        for line in (
            f"the JobManager at {lost.rest.address} has lost the job; starting again from the last checkpoint in 1 s",
            "Flink starts the job again: no room",
            "Flink gave the job up: no room; starting again from the last checkpoint in 2 s",
        )
    ]


def test_what_never_ran_is_not_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stop = threading.Event()
    assert keep_running(starts(Lost("Flink did not take the job: no")), stop, tmp_path, READY) == 1
    assert capsys.readouterr() == ("", "revision-scores stream: Flink did not take the job: no\n")
    with pytest.raises(WrongUse, match="java is not on the PATH"):
        keep_running(starts(ServerError("java is not on the PATH")), stop, tmp_path, READY)


@pytest.mark.parametrize("state", ["FINISHED", "CANCELED"])
def test_what_somebody_ended_at_flink_stays_ended(
    job_manager: Callable[..., JobManager], tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    assert keep_running(starts(job_manager("RUNNING", state)), threading.Event(), tmp_path, READY) == 1
    assert capsys.readouterr().err == f"revision-scores stream: the job was ended at Flink, not here; it is {state}\n"


def test_a_job_that_takes_no_savepoint_is_cancelled(job_manager: Callable[..., JobManager], tmp_path: Path) -> None:
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
    assert said == f"without a savepoint (no JobManager answers at {manager.rest.address}); a new run goes on from the last checkpoint"
