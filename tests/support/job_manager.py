"""A JobManager that does as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pipeline.flink.rest import FlinkRest

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


@contextmanager
def job_managers() -> Iterator[Callable[..., JobManager]]:
    """Gives what starts one, and ends them all."""
    made: list[JobManager] = []

    def start(*states: str | None) -> JobManager:
        made.append(JobManager(*states))
        return made[-1]

    try:
        yield start
    finally:
        for each in made:
            each.close()
