"""A JobManager's REST interface: the same for an embedded Flink and a cluster."""

from __future__ import annotations

from typing import Any

import requests

from pipeline.flink.causes import root_cause
from pipeline.usage_error import UsageError

OVER = ("FINISHED", "CANCELED", "FAILED")  # states of a job that does not run again


class UnreachableError(Exception):
    """No JobManager answers at the address."""


class FlinkRest:
    """A JobManager at `address`, HOST:PORT."""

    def __init__(self, address: str) -> None:
        self.address = address

    def check_answers(self) -> None:
        """Raises UsageError unless a JobManager answers."""
        try:
            self.job_ids("")
        except UnreachableError as error:
            raise UsageError(
                f"--flink: {error}; start one, for instance: python -m runners.local_flink"
            ) from error

    def job_ids(self, name: str) -> list[str]:
        """Returns the ids of the jobs of that name that are not over. Raises UnreachableError."""
        found = []
        for job in self._get_field("/jobs/overview", "jobs", list):
            job_id, its_name, state = (self._field(job, field, str) for field in ("jid", "name", "state"))
            if its_name == name and state not in OVER:
                found.append(job_id)
        return found

    def version(self) -> str:
        """Returns the version of Flink. Raises UnreachableError."""
        return str(self._get_field("/config", "flink-version", str))

    def task_managers(self) -> int:
        """Returns how many TaskManagers the JobManager has let in. Raises UnreachableError."""
        return int(self._get_field("/overview", "taskmanagers", int))

    def free_slots(self) -> int:
        """Returns how many slots no job has. Raises UnreachableError."""
        return int(self._get_field("/overview", "slots-available", int))

    def get(self, path: str) -> Any:
        """Returns the JSON at a path. Raises UnreachableError when there is none, or one of an error."""
        answer = self.request("GET", path)
        told = self.json_of(answer)
        if not answer.ok:
            raise UnreachableError(
                f"the JobManager at {self.address} answers {answer.status_code}: {errors_in(told)}"
            )
        return told

    def request(self, method: str, path: str, body: object = None) -> requests.Response:
        """Returns an answer of any status below 500. Raises UnreachableError for one above, as of a server
        that is starting or ending, and without an answer."""
        try:
            answer = requests.request(method, f"http://{self.address}{path}", json=body, timeout=10)
        except (requests.RequestException, ValueError) as error:
            raise UnreachableError(f"no JobManager answers at {self.address}") from error
        if answer.status_code >= requests.codes.server_error:
            raise UnreachableError(f"the JobManager at {self.address} answers {answer.status_code}")
        return answer

    def json_of(self, answer: requests.Response) -> Any:
        """Returns the JSON of an answer. Raises UnreachableError when it is none."""
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise self.not_flink() from error

    def _get_field(self, path: str, field: str, kind: type) -> Any:
        """Returns a field of that kind of the object at a path. Raises UnreachableError, as whatever answers
        otherwise is no JobManager that could be asked."""
        return self._field(self.get(path), field, kind)

    def _field(self, told: Any, field: str, kind: type) -> Any:
        value = told.get(field) if isinstance(told, dict) else None
        if not isinstance(value, kind):
            raise self.not_flink()
        return value

    def not_flink(self) -> UnreachableError:
        """Returns the error for an answer that no JobManager gives."""
        return UnreachableError(f"what answers at {self.address} is no JobManager")


def inner(told: Any, *fields: str) -> Any:
    """Returns a field of a field of an answer; None where it is not to be found."""
    for field in fields:
        told = told.get(field) if isinstance(told, dict) else None
    return told


def errors_in(told: Any) -> str:
    """Returns what an answer says of an error, in one line."""
    errors = inner(told, "errors")
    return root_cause("\n".join(map(str, errors)) if isinstance(errors, list) and errors else str(told)[:300])
