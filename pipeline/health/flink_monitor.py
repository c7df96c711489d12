"""Asks a JobManager about a stream: the state of its job, TaskManagers, checkpoints, and what the steps
count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pipeline.flink.causes import root_cause
from pipeline.flink.rest import FlinkRest, UnreachableError
from pipeline.health.facts import FlinkFacts, Metric

_STEPS = (
    "ReadEvents",
    "SelectModels",
    "ScoreWithLiftWing",
    "BuildRevisionScore",
    "WritePerModel",
    "CombineScores",
    "WriteFailures",
)
_NAMES_S = 10.0
_LONGEST_QUERY = 3_000  # characters; the JobManager takes no line of more than 4,096
# what reading another server's answer raises
_NOT_AS_EXPECTED = (ValueError, TypeError, KeyError, IndexError, AttributeError)


class FlinkMonitor:
    """Looks at the job of that name, again and again, at the JobManager wherever that is now."""

    def __init__(self, address: Callable[[], str], job_name: str) -> None:
        """`address` returns HOST:PORT of the JobManager, nothing where nobody knows it."""
        self._find_address, self._job_name = address, job_name
        self._job_manager: _JobManager | None = None

    @property
    def address(self) -> str:
        """HOST:PORT of the JobManager that is looked at; nothing where there is none."""
        return self._job_manager.address if self._job_manager else ""

    def facts(self) -> FlinkFacts | None:
        """Returns what is so now, None where nobody knows of a JobManager; never raises."""
        if (address := self._find_address()) and address != self.address:
            self._job_manager = _JobManager(address, self._job_name)
        return self._job_manager.facts() if self._job_manager else None


class _JobManager:
    def __init__(self, address: str, job_name: str) -> None:
        self.address, self._job_name = address, job_name
        self._rest = FlinkRest(address)
        self._metrics = _JobMetrics(self._rest)

    def facts(self) -> FlinkFacts:
        try:
            job_ids = self._rest.job_ids(self._job_name)
            if not job_ids:
                return FlinkFacts(f"Flink at {self.address} runs no job called {self._job_name}")
            return self._of(job_ids[0])
        except UnreachableError as error:
            return FlinkFacts(str(error))
        except _NOT_AS_EXPECTED:
            return FlinkFacts(f"what answers at {self.address} does not answer as a JobManager")

    def _of(self, job_id: str) -> FlinkFacts:
        told = self._get(f"/jobs/{job_id}")
        checkpoints = self._get(f"/jobs/{job_id}/checkpoints")
        exceptions = self._get(f"/jobs/{job_id}/exceptions?maxExceptions=3")
        failures = exceptions.get("exceptionHistory", {}).get("entries", [])
        return FlinkFacts(
            job_id=job_id,
            state=_state_of(told),
            why=root_cause(failures[0]["stacktrace"]) if failures else "",
            failed_at=failures[0]["timestamp"] / 1000 if failures else 0.0,
            started_at=told["start-time"] / 1000,
            restarts=len(failures),
            task_managers=int(self._get("/overview")["taskmanagers"]),
            last_checkpoint=_last_made(checkpoints.get("latest") or {}),
            failed_checkpoints=int((checkpoints.get("counts") or {}).get("failed", 0)),
            metrics=self._metrics.read(job_id, [vertex["id"] for vertex in told["vertices"]]),
        )

    def _get(self, path: str) -> dict[str, Any]:
        found = self._rest.request("GET", path).json()
        return found if isinstance(found, dict) else {}


class _JobMetrics:
    """The metrics of our steps. Their names are asked for every ten seconds, their values at each look."""

    def __init__(self, rest: FlinkRest) -> None:
        self._rest = rest
        self._names: dict[str, dict[str, str]] = {}  # by vertex, our name by Flink's
        self._names_of, self._names_due = "", 0.0

    def read(self, job_id: str, vertices: list[str]) -> Mapping[str, Metric]:
        """Returns them by step and name. Operators that are chained in one vertex share what Beam counts, so
        of the same name the most is all of it; vertices add up."""
        if time.monotonic() >= self._names_due or job_id != self._names_of:
            self._names = {vertex: names for vertex in vertices if (names := self._known(job_id, vertex))}
            self._names_of, self._names_due = (
                job_id,
                time.monotonic() + (_NAMES_S if self._names else 0.0),
            )
        found: dict[str, Metric] = {}
        for vertex, names in self._names.items():
            of_vertex: dict[str, Metric] = {}
            for told in self._values(job_id, vertex, list(names)):
                name, metric = names[told["id"]], Metric(float(told["sum"]), float(told["max"]))
                of_vertex[name] = max(metric, of_vertex.get(name, metric))
            for name, metric in of_vertex.items():
                before = found.get(name, Metric(0.0, metric.most))
                found[name] = Metric(before.total + metric.total, max(before.most, metric.most))
        return found

    def _known(self, job_id: str, vertex: str) -> dict[str, str]:
        ids = [str(metric["id"]) for metric in self._list(_path(job_id, vertex))]
        return {
            each: name
            for each in ids
            if (name := each.rpartition(".")[2]).startswith(tuple(f"{step}_" for step in _STEPS))
        }

    def _values(self, job_id: str, vertex: str, names: list[str]) -> Iterator[Any]:
        while names:
            some = [quote(names.pop())]
            while names and sum(map(len, some)) + 3 * len(some) + len(quote(names[-1])) < _LONGEST_QUERY:
                some.append(quote(names.pop()))
            yield from self._list(f"{_path(job_id, vertex)}?agg=sum,max&get={'%2C'.join(some)}")

    def _list(self, path: str) -> list[Any]:
        """Returns the list at a path; an empty one of a job that is just over, of which Flink tells
        errors."""
        found = self._rest.request("GET", path).json()
        return found if isinstance(found, list) else []


def _last_made(latest: Mapping[str, Any]) -> float | None:
    """Returns when the last checkpoint or savepoint was complete; None where there is none."""
    times = [(latest.get(kind) or {}).get("latest_ack_timestamp") for kind in ("completed", "savepoint")]
    return max((time_ms / 1000 for time_ms in times if time_ms), default=None)


def _state_of(told: Mapping[str, Any]) -> str:
    """Returns Flink's word, but INITIALIZING for a job that is called RUNNING while its tasks restore their
    state or wait for slots."""
    state = str(told["state"])
    counts = [vertex.get("tasks") or {} for vertex in told["vertices"]]
    running = all(tasks.get("RUNNING", 0) == sum(tasks.values()) for tasks in counts)
    return "INITIALIZING" if state == "RUNNING" and not running else state


def _path(job_id: str, vertex: str) -> str:
    return f"/jobs/{job_id}/vertices/{vertex}/subtasks/metrics"
