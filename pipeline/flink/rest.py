"""Jobs on a Flink, by its REST interface: the same for an embedded one and a cluster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import requests

from pipeline.flink.causes import last_words
from pipeline.usage_error import UsageError

_OVER = ("FINISHED", "CANCELED", "FAILED")
_PAUSE_S = 0.2
_OF_RESTORE = "StreamTaskStateInitializerImpl"  # in the stack trace of a task that does not get its state


class UnreachableError(Exception):
    """No JobManager answers at the address."""


class SavepointError(Exception):
    """Flink could not stop the job with a savepoint; says why."""


class FlinkRest:
    """A JobManager at `address`, HOST:PORT."""

    def __init__(self, address: str) -> None:
        self.address = address

    def check_answers(self) -> None:
        """Raises UsageError."""
        try:
            self.jobs("")
        except UnreachableError as error:
            raise UsageError(
                f"--flink: {error}; start one, for instance: python -m runners.local_flink"
            ) from error

    def jobs(self, name: str) -> list[FlinkJob]:
        """The jobs of that name that are not over. Raises UnreachableError."""
        jobs = []
        for job in self.told("/jobs/overview", "jobs", list):
            job_id, its_name, state = (self._field(job, field, str) for field in ("jid", "name", "state"))
            if its_name == name and state not in _OVER:
                jobs.append(FlinkJob(self, job_id))
        return jobs

    def version(self) -> str:
        """Of Flink. Raises UnreachableError."""
        return str(self.told("/config", "flink-version", str))

    def task_managers(self) -> int:
        """How many the JobManager has let in. Raises UnreachableError."""
        return int(self.told("/overview", "taskmanagers", int))

    def free_slots(self) -> int:
        """Raises UnreachableError."""
        return int(self.told("/overview", "slots-available", int))

    def told(self, path: str, field: str, kind: type) -> Any:
        """A field of that kind of the object at a path. Raises UnreachableError, as whatever answers
        otherwise is no JobManager that could be asked."""
        return self._field(self.asked("GET", path), field, kind)

    def asked(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of an answer. Raises UnreachableError when it is none, or tells of an error."""
        answer = self.ask(method, path, body)
        told = self.json_of(answer)
        if not answer.ok:
            raise UnreachableError(
                f"the JobManager at {self.address} answers {answer.status_code}: {errors_in(told)}"
            )
        return told

    def ask(self, method: str, path: str, body: object = None) -> requests.Response:
        """An answer of any kind, but that of a server that is starting or ending. Raises UnreachableError."""
        try:
            answer = requests.request(method, f"http://{self.address}{path}", json=body, timeout=10)
        except (requests.RequestException, ValueError) as error:
            raise UnreachableError(f"no JobManager answers at {self.address}") from error
        if answer.status_code >= requests.codes.server_error:
            raise UnreachableError(f"the JobManager at {self.address} answers {answer.status_code}")
        return answer

    def json_of(self, answer: requests.Response) -> Any:
        """Raises UnreachableError."""
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise self.stranger() from error

    def _field(self, told: Any, field: str, kind: type) -> Any:
        value = told.get(field) if isinstance(told, dict) else None
        if not isinstance(value, kind):
            raise self.stranger()
        return value

    def stranger(self) -> UnreachableError:
        return UnreachableError(f"what answers at {self.address} is no JobManager")


class FlinkJob:
    def __init__(self, rest: FlinkRest, job_id: str) -> None:
        self.rest, self.job_id = rest, job_id
        self._path = f"/jobs/{job_id}"

    def state(self) -> str | None:
        """RUNNING, RESTARTING, FAILED ...; None when this Flink has no such job. Raises UnreachableError."""
        answer = self.rest.ask("GET", self._path)
        told = self.rest.json_of(answer)
        if answer.status_code == requests.codes.not_found and _inner(told, "errors"):
            return None
        state = _inner(told, "state")
        if not isinstance(state, str):
            raise self.rest.stranger()
        return state

    def why(self) -> str:
        """The innermost cause of its last failure, in one line. Raises UnreachableError."""
        history = _inner(self.rest.asked("GET", f"{self._path}/exceptions"), "exceptionHistory", "entries")
        trace = _inner(history[0], "stacktrace") if isinstance(history, list) and history else None
        return last_words(trace) if isinstance(trace, str) else "Flink does not say why"

    def failed_restores(self) -> list[str]:
        """Why each of its last starts ended at its state, the newest first. Raises UnreachableError."""
        history = _inner(self.rest.asked("GET", f"{self._path}/exceptions"), "exceptionHistory", "entries")
        traces = [str(_inner(entry, "stacktrace")) for entry in history] if isinstance(history, list) else []
        return [last_words(trace) for trace in traces if _OF_RESTORE in trace]

    def completed_checkpoints(self) -> int:
        """Since the job was submitted. Raises UnreachableError."""
        count = _inner(self.rest.asked("GET", f"{self._path}/checkpoints"), "counts", "completed")
        return count if isinstance(count, int) else 0

    def end(self, savepoints: Path, patience_s: float) -> str:
        """Stops the job with a savepoint below the folder, or cancels it when that is not to be had; says
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
        """Not by Flink's `/stop`: timers go on after its savepoint too, and it takes up to five seconds
        more."""
        begun = self.rest.ask(
            "POST", f"{self._path}/savepoints", {"cancel-job": True, "target-directory": folder.as_uri()}
        )
        told = self.rest.json_of(begun)
        request = _inner(told, "request-id")
        if begun.status_code != requests.codes.accepted or not isinstance(request, str):
            raise SavepointError(errors_in(told))
        while True:
            answer = self.rest.json_of(self.rest.ask("GET", f"{self._path}/savepoints/{request}"))
            if _inner(answer, "status", "id") == "COMPLETED":
                if failure := _inner(answer, "operation", "failure-cause"):
                    raise SavepointError(last_words(str(_inner(failure, "stack-trace") or failure)))
                return
            if _inner(answer, "errors"):  # of a JobManager that has started again
                raise SavepointError(errors_in(answer))
            if time.monotonic() > deadline:
                raise SavepointError("Flink took too long for it")
            time.sleep(_PAUSE_S)

    def cancel(self, patience_s: float) -> None:
        """Cancels the job, and waits so long until it is over. Raises UnreachableError."""
        self.rest.ask("PATCH", self._path)
        self._wait_until_over(time.monotonic() + patience_s)

    def _wait_until_over(self, deadline: float) -> None:
        while not self._is_over() and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)

    def _is_over(self) -> bool:
        state = self.state()
        return state is None or state in _OVER


def _inner(told: Any, *fields: str) -> Any:
    """A field of a field of what was told; None where it is not to be found."""
    for field in fields:
        told = told.get(field) if isinstance(told, dict) else None
    return told


def errors_in(told: Any) -> str:
    """What an answer says of an error, in one line."""
    errors = _inner(told, "errors")
    return last_words("\n".join(map(str, errors)) if isinstance(errors, list) and errors else str(told)[:300])
