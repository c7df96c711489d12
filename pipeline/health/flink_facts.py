"""What a JobManager tells of a stream: the state of its job, TaskManagers, checkpoints, and what the steps
count."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from pipeline.flink.causes import last_words
from pipeline.flink.rest import FlinkRest, UnreachableError

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


class Metric(NamedTuple):
    """Over all subtasks."""

    total: float
    most: float


@dataclass(frozen=True)
class FlinkFacts:
    """`trouble` says why nothing else is known. Times are seconds since the epoch."""

    trouble: str = ""
    job_id: str = ""
    state: str = ""
    why: str = ""  # the last failure of the job, in a line
    failed_at: float = 0.0
    started_at: float = 0.0
    restarts: int = 0  # that Flink remembers
    task_managers: int = 0
    last_checkpoint: float | None = None
    failed_checkpoints: int = 0
    metrics: Mapping[str, Metric] = field(default_factory=dict)  # by step and name, such as ReadEvents_events

    def count(self, name: str) -> int:
        """Returns what a counter has counted since the job was last started, or a gauge's sum of now."""
        return round(self.metrics[name].total) if name in self.metrics else 0

    def of_model(self, kind: str, model: str) -> int:
        """Returns a count of ScoreWithLiftWing's for a model, such as in_flight."""
        return self.count(f"ScoreWithLiftWing_{kind}_{model}")


class FlinkLook:
    """Looks at the job of that name at a JobManager, again and again."""

    def __init__(self, rest: FlinkRest, name: str) -> None:
        self.rest, self._name = rest, name
        self._names: dict[str, dict[str, str]] = {}  # by vertex, our name by Flink's
        self._names_of, self._names_due = "", 0.0

    def facts(self) -> FlinkFacts:
        """What is so now; never raises."""
        try:
            job_ids = self.rest.job_ids(self._name)
            if not job_ids:
                return FlinkFacts(f"Flink at {self.rest.address} runs no job called {self._name}")
            return self._of(job_ids[0])
        except UnreachableError as error:
            return FlinkFacts(str(error))
        except _NOT_AS_EXPECTED:
            return FlinkFacts(f"what answers at {self.rest.address} does not answer as a JobManager")

    def _of(self, job_id: str) -> FlinkFacts:
        told = self._get(f"/jobs/{job_id}")
        checkpoints = self._get(f"/jobs/{job_id}/checkpoints")
        exceptions = self._get(f"/jobs/{job_id}/exceptions?maxExceptions=3")
        failures = exceptions.get("exceptionHistory", {}).get("entries", [])
        return FlinkFacts(
            job_id=job_id,
            state=_state_of(told),
            why=last_words(failures[0]["stacktrace"]) if failures else "",
            failed_at=failures[0]["timestamp"] / 1000 if failures else 0.0,
            started_at=told["start-time"] / 1000,
            restarts=len(failures),
            task_managers=int(self._get("/overview")["taskmanagers"]),
            last_checkpoint=_last_made(checkpoints.get("latest") or {}),
            failed_checkpoints=int((checkpoints.get("counts") or {}).get("failed", 0)),
            metrics=self._metrics(job_id, [vertex["id"] for vertex in told["vertices"]]),
        )

    def _metrics(self, job_id: str, vertices: list[str]) -> Mapping[str, Metric]:
        """Operators that are chained in one vertex share what Beam counts, so of the same name the most is
        all of it; vertices add up."""
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
        """Of a job that is just over there is none, but an object of errors."""
        found = self.rest.request("GET", path).json()
        return found if isinstance(found, list) else []

    def _get(self, path: str) -> dict[str, Any]:
        found = self.rest.request("GET", path).json()
        return found if isinstance(found, dict) else {}


def _last_made(latest: Mapping[str, Any]) -> float | None:
    """Returns when the last checkpoint or savepoint was complete; None where there is none."""
    times = [(latest.get(kind) or {}).get("latest_ack_timestamp") for kind in ("completed", "savepoint")]
    return max((time_ms / 1000 for time_ms in times if time_ms), default=None)


def _state_of(told: Mapping[str, Any]) -> str:
    """INITIALIZING while the job is called RUNNING but its tasks restore their state or wait for slots."""
    state = str(told["state"])
    counts = [vertex.get("tasks") or {} for vertex in told["vertices"]]
    running = all(tasks.get("RUNNING", 0) == sum(tasks.values()) for tasks in counts)
    return "INITIALIZING" if state == "RUNNING" and not running else state


def _path(job_id: str, vertex: str) -> str:
    return f"/jobs/{job_id}/vertices/{vertex}/subtasks/metrics"
