"""Jobs on a Flink, by its REST interface: the same for an embedded one and a cluster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import requests

from pipeline.health.causes import last_words
from pipeline.wrong_use import WrongUse

_OVER = ("FINISHED", "CANCELED", "FAILED")
_PAUSE_S = 0.2


class Unreachable(Exception):
    """No JobManager answers at the address."""


class SavepointError(Exception):
    """Flink could not stop the job with a savepoint; says why."""


class FlinkRest:
    """A JobManager at `address`, HOST:PORT."""

    def __init__(self, address: str) -> None:
        self.address = address

    def check_answers(self) -> None:
        """Raises WrongUse."""
        try:
            self.jobs("")
        except Unreachable as error:
            raise WrongUse(f"--flink: {error}; start one, for instance: python -m runners.local_flink") from error

    def jobs(self, name: str) -> list[FlinkJob]:
        """The jobs of that name that are not over. Raises Unreachable."""
        overview = self._told("/jobs/overview", "jobs")
        return [FlinkJob(self, job["jid"]) for job in overview if job["name"] == name and job["state"] not in _OVER]

    def version(self) -> str:
        """Of Flink. Raises Unreachable."""
        return str(self._told("/config", "flink-version"))

    def task_managers(self) -> int:
        """How many the JobManager has let in. Raises Unreachable."""
        return int(self._told("/overview", "taskmanagers"))

    def free_slots(self) -> int:
        """Raises Unreachable."""
        return int(self._told("/overview", "slots-available"))

    def _told(self, path: str, what: str) -> Any:
        try:
            return self.ask("GET", path).json()[what]
        except (ValueError, TypeError, KeyError) as error:  # no JSON, or another server's
            raise Unreachable(f"what answers at {self.address} is no JobManager") from error

    def ask(self, method: str, path: str, body: object = None) -> requests.Response:
        try:
            answer = requests.request(method, f"http://{self.address}{path}", json=body, timeout=10)
        except requests.RequestException as error:
            raise Unreachable(f"no JobManager answers at {self.address}") from error
        if answer.status_code >= requests.codes.server_error:  # it is starting or ending
            raise Unreachable(f"the JobManager at {self.address} answers {answer.status_code}")
        return answer


class FlinkJob:
    def __init__(self, rest: FlinkRest, job_id: str) -> None:
        self.rest, self.job_id = rest, job_id

    def state(self) -> str | None:
        """RUNNING, RESTARTING, FAILED ...; None when this Flink has no such job. Raises Unreachable."""
        answer = self.rest.ask("GET", f"/jobs/{self.job_id}")
        if answer.status_code == requests.codes.not_found:
            return None
        state: str = answer.json()["state"]
        return state

    def why(self) -> str:
        """The innermost cause of its last failure, in one line. Raises Unreachable."""
        history = self.rest.ask("GET", f"/jobs/{self.job_id}/exceptions").json().get("exceptionHistory", {}).get("entries", [])
        return last_words(history[0]["stacktrace"]) if history else "Flink does not say why"

    def end(self, savepoints: Path, patience_s: float) -> str:
        """Stops the job with a savepoint below the folder, or cancels it when that is not to be had; says which, to follow "stopped"."""
        before = set(savepoints.glob("*/_metadata"))
        try:
            try:
                self._stop_with_savepoint(savepoints, patience_s)
            except SavepointError as error:
                self._cancel(patience_s)
                return f"without a savepoint ({error}); a new run goes on from the last checkpoint"
        except Unreachable as error:  # an embedded Flink ends with its job
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
        """Not by Flink's `/stop`: it ends the source first, Beam takes that for the end of time, and timers that fire then are lost."""
        begun = self.rest.ask("POST", f"/jobs/{self.job_id}/savepoints", {"cancel-job": True, "target-directory": folder.as_uri()})
        if begun.status_code != requests.codes.accepted:
            raise SavepointError(last_words("\n".join(begun.json().get("errors", [begun.text]))))
        while True:
            answer = self.rest.ask("GET", f"/jobs/{self.job_id}/savepoints/{begun.json()['request-id']}").json()
            if answer["status"]["id"] == "COMPLETED":
                if "failure-cause" in answer["operation"]:
                    raise SavepointError(last_words(answer["operation"]["failure-cause"]["stack-trace"]))
                return
            if time.monotonic() > deadline:
                raise SavepointError("Flink took too long for it")
            time.sleep(_PAUSE_S)

    def _cancel(self, patience_s: float) -> None:
        self.rest.ask("PATCH", f"/jobs/{self.job_id}")
        self._wait_until_over(time.monotonic() + patience_s)

    def _wait_until_over(self, deadline: float) -> None:
        while not self._is_over() and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)

    def _is_over(self) -> bool:
        state = self.state()
        return state is None or state in _OVER
