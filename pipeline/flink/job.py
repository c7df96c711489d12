"""A job that runs on a Flink: how it is, and how it is ended."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import requests

from pipeline.flink.causes import root_cause
from pipeline.flink.rest import OVER, FlinkRest, UnreachableError, errors_in, inner

_PAUSE_S = 0.2
_OF_RESTORE = "StreamTaskStateInitializerImpl"  # in the stack trace of a task that does not get its state


def jobs_called(rest: FlinkRest, name: str) -> list[FlinkJob]:
    """Returns the jobs of that name that are not over. Raises UnreachableError."""
    return [FlinkJob(rest, job_id) for job_id in rest.job_ids(name)]


class SavepointError(Exception):
    """Flink could not stop the job with a savepoint; says why."""


class FlinkJob:
    """The job of that id at a JobManager."""

    def __init__(self, rest: FlinkRest, job_id: str) -> None:
        self.rest, self.job_id = rest, job_id
        self._path = f"/jobs/{job_id}"

    def state(self) -> str | None:
        """Returns RUNNING, RESTARTING, FAILED ...; None when this Flink has no such job. Raises
        UnreachableError."""
        answer = self.rest.request("GET", self._path)
        told = self.rest.json_of(answer)
        if answer.status_code == requests.codes.not_found and inner(told, "errors"):
            return None
        state = inner(told, "state")
        if not isinstance(state, str):
            raise self.rest.not_flink()
        return state

    def why(self) -> str:
        """Returns the innermost cause of its last failure, in one line. Raises UnreachableError."""
        failures = self._failures()
        trace = inner(failures[0], "stacktrace") if failures else None
        return root_cause(trace) if isinstance(trace, str) else "Flink does not say why"

    def failed_restores(self) -> list[str]:
        """Returns why each of its last starts ended at its state, the newest first. Raises
        UnreachableError."""
        traces = [str(inner(failure, "stacktrace")) for failure in self._failures()]
        return [root_cause(trace) for trace in traces if _OF_RESTORE in trace]

    def _failures(self) -> list[Any]:
        """Returns what ended it, the newest first, as Flink has it."""
        history = inner(self.rest.get(f"{self._path}/exceptions"), "exceptionHistory", "entries")
        return history if isinstance(history, list) else []

    def completed_checkpoints(self) -> int:
        """Returns how many it has had since it was submitted. Raises UnreachableError."""
        count = inner(self.rest.get(f"{self._path}/checkpoints"), "counts", "completed")
        return count if isinstance(count, int) else 0

    def end(self, savepoints: Path, patience_s: float) -> str:
        """Stops the job with a savepoint below the folder, or cancels it where Flink makes none; returns
        which, to follow "stopped"."""
        before = set(savepoints.glob("*/_metadata"))
        try:
            try:
                self._stop_with_savepoint(savepoints, patience_s)
            except SavepointError as error:
                self.cancel(patience_s)
                return f"without a savepoint ({error}); a new run goes on from the last checkpoint"
        except UnreachableError as error:  # an embedded Flink ends with its job
            if not set(savepoints.glob("*/_metadata")) - before:
                return f"without a savepoint ({error}); a new run goes on from the last checkpoint"
        return "with a savepoint; a new run goes on from it"

    def _stop_with_savepoint(self, folder: Path, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                self._try_to_stop(folder, deadline)
                break
            except SavepointError:  # a job that is just starting, or starting again, takes no savepoint
                if time.monotonic() + _PAUSE_S > deadline or self._is_over():
                    raise
                time.sleep(_PAUSE_S)
        self._wait_until_over(deadline)

    def _try_to_stop(self, folder: Path, deadline: float) -> None:
        """Asks once for a savepoint that ends the job, and waits for it. Raises SavepointError. Not by
        Flink's `/stop`: timers go on after its savepoint too, and it takes up to five seconds more."""
        begun = self.rest.request(
            "POST", f"{self._path}/savepoints", {"cancel-job": True, "target-directory": folder.as_uri()}
        )
        told = self.rest.json_of(begun)
        request = inner(told, "request-id")
        if begun.status_code != requests.codes.accepted or not isinstance(request, str):
            raise SavepointError(errors_in(told))
        while True:
            answer = self.rest.json_of(self.rest.request("GET", f"{self._path}/savepoints/{request}"))
            if inner(answer, "status", "id") == "COMPLETED":
                if failure := inner(answer, "operation", "failure-cause"):
                    raise SavepointError(root_cause(str(inner(failure, "stack-trace") or failure)))
                return
            if inner(answer, "errors"):  # of a JobManager that has started again
                raise SavepointError(errors_in(answer))
            if time.monotonic() > deadline:
                raise SavepointError("Flink took too long for it")
            time.sleep(_PAUSE_S)

    def cancel(self, patience_s: float) -> None:
        """Cancels the job, and waits so long until it is over. Raises UnreachableError."""
        self.rest.request("PATCH", self._path)
        self._wait_until_over(time.monotonic() + patience_s)

    def _wait_until_over(self, deadline: float) -> None:
        while not self._is_over() and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)

    def _is_over(self) -> bool:
        state = self.state()
        return state is None or state in OVER
