"""How a stream is beside its messages: its job, calls in flight, limits, breakers, how far it is behind; and
what is wrong with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from pipeline.health.diagnosis import Diagnosis
from pipeline.health.facts import Facts, FlinkFacts
from pipeline.health.problems import Problem
from pipeline.health.stream_monitor import StreamMonitor

_SUMS = ("in_flight", "queued", "waiting", "limit", "broken")  # over all workers
_MOSTS = ("call_ms_p50", "call_ms_p99")
_LOOK_S = 2.0

Gauges = Mapping[str, float]  # by name, such as in_flight


class HealthPoller:
    """Looks every two seconds, in a thread of its own, and keeps what it saw last."""

    def __init__(self, monitor: StreamMonitor, diagnosis: Diagnosis) -> None:
        self._monitor = monitor
        self.facts = Facts(time.time())
        self.problems: Sequence[Problem] = ()
        self.by_model: Mapping[str, Gauges] = {}
        self.follow(diagnosis)
        threading.Thread(target=self._keep_looking, name="health poller", daemon=True).start()

    def follow(self, diagnosis: Diagnosis) -> None:
        """Tells by this one, and of its models, from now on."""
        self._diagnosis = diagnosis

    @property
    def address(self) -> str:
        """HOST:PORT of the JobManager that is looked at; nothing where there is none."""
        return self._monitor.flink.address

    @property
    def trouble(self) -> str:
        """Why Flink tells nothing."""
        return self.facts.flink.trouble if self.facts.flink else ""

    def _keep_looking(self) -> None:
        while True:
            try:
                self._look()
            except Exception as error:  # a page that looks no more must not go on with what it saw last
                trouble = f"how the stream is cannot be told: {type(error).__name__}: {error}"
                self.facts, self.problems = Facts(time.time(), FlinkFacts(trouble)), ()
                self.by_model = {}
            time.sleep(_LOOK_S)

    def _look(self) -> None:
        facts = self._monitor.facts()
        self.facts, self.problems = facts, self._diagnosis.find(facts)
        self.by_model = {
            model: gauges
            for model in self._diagnosis.models
            if facts.flink and (gauges := _gauges(facts.flink, model))
        }


def _gauges(flink: FlinkFacts, model: str) -> Gauges:
    names = {kind: f"ScoreWithLiftWing_{kind}_{model}" for kind in (*_SUMS, *_MOSTS)}
    known = {kind: flink.metrics[name] for kind, name in names.items() if name in flink.metrics}
    return {kind: metric.total if kind in _SUMS else metric.most for kind, metric in known.items()}
