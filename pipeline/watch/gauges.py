"""What Flink knows of a stream that its topics do not tell: calls in flight, limits and breakers, and how long Lift Wing takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pipeline.flink_jobs import FlinkJob, FlinkRest, Unreachable

_SUMS = ("in_flight", "queued", "waiting", "limit", "broken")  # over all workers
_MOSTS = ("call_ms_p50", "call_ms_p99")
_LOOK_S, _NAMES_S = 2.0, 30.0
_LONGEST_QUERY = 3_000  # characters; the JobManager takes no line of more than 4,096

Gauges = Mapping[str, float]  # by name, such as in_flight


class FlinkGauges:
    """Asks the JobManager at `address` for the job of that name every two seconds, in a thread of its own."""

    def __init__(self, address: str, job: str, models: Collection[str]) -> None:
        self.address, self._rest, self._job = address, FlinkRest(address), job
        self._wanted = {f"ScoreWithLiftWing_{kind}_{model}": (model, kind) for model in models for kind in (*_SUMS, *_MOSTS)}
        self._names: dict[str, dict[str, str]] = {}  # by vertex, our name by Flink's
        self._names_of, self._names_due = "", 0.0
        self.by_model: Mapping[str, Gauges] = {}
        self.trouble = f"Flink at {address} has not answered yet."
        threading.Thread(target=self._keep_looking, name="flink gauges", daemon=True).start()

    def _keep_looking(self) -> None:
        while True:
            try:
                self._look()
            except (Unreachable, ValueError) as error:  # or what answers there does not answer as Flink
                self.by_model, self.trouble = {}, f"Flink: {error}."
            time.sleep(_LOOK_S)

    def _look(self) -> None:
        jobs = self._rest.jobs(self._job)
        if not jobs:
            self.by_model, self.trouble = {}, f"Flink at {self.address} runs no job called {self._job}: nothing is scored until there is one."
            return
        state = jobs[0].state()
        self.trouble = "" if state == "RUNNING" else f"Flink's job {self._job} is {state}: {jobs[0].why()}."
        self.by_model = self._gauges(jobs[0])

    def _gauges(self, job: FlinkJob) -> Mapping[str, Gauges]:
        if time.monotonic() >= self._names_due or job.job_id != self._names_of:
            self._names_of = job.job_id
            self._names = {vertex: names for vertex in self._vertices(job) if (names := self._known(job, vertex))}
            self._names_due = time.monotonic() + (_NAMES_S if self._names else _LOOK_S)
        found: dict[str, dict[str, float]] = {}
        for vertex, names in self._names.items():
            for metric in self._values(job, vertex, list(names)):
                model, kind = self._wanted[names[metric["id"]]]
                found.setdefault(model, {})[kind] = metric["sum" if kind in _SUMS else "max"]
        return found

    def _vertices(self, job: FlinkJob) -> Iterator[str]:
        yield from (vertex["id"] for vertex in self._rest.ask("GET", f"/jobs/{job.job_id}").json().get("vertices", ()))

    def _known(self, job: FlinkJob, vertex: str) -> dict[str, str]:
        metrics = self._list(_path(job, vertex))
        return {metric["id"]: name for metric in metrics if (name := metric["id"].rpartition(".")[2]) in self._wanted}

    def _values(self, job: FlinkJob, vertex: str, names: list[str]) -> Iterator[Any]:
        while names:
            query, some = "", []
            while names and len(query) + len(quote(names[-1])) < _LONGEST_QUERY:
                some.append(names.pop())
                query = quote(",".join(some))
            yield from self._list(f"{_path(job, vertex)}?agg=sum,max&get={query}")

    def _list(self, path: str) -> list[Any]:
        """Of a job that is just over there is none, but an object of errors."""
        found = self._rest.ask("GET", path).json()
        return found if isinstance(found, list) else []


def _path(job: FlinkJob, vertex: str) -> str:
    return f"/jobs/{job.job_id}/vertices/{vertex}/subtasks/metrics"
