"""What Flink and Kafka tell of a stream beside its messages: its job, calls in flight, limits, breakers, how
far it is behind; and what is wrong with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.flink.rest import FlinkRest
from pipeline.health.diagnosis import Diagnosis
from pipeline.health.facts import Facts
from pipeline.health.flink_facts import FlinkFacts, FlinkLook
from pipeline.health.kafka_facts import KafkaLook
from pipeline.health.problems import Problem
from pipeline.process.disk import room_of

_SUMS = ("in_flight", "queued", "waiting", "limit", "broken")  # over all workers
_MOSTS = ("call_ms_p50", "call_ms_p99")
_LOOK_S = 2.0

Gauges = Mapping[str, float]  # by name, such as in_flight


class Looks:
    """Looks every two seconds, in a thread of its own; `address` tells where the JobManager is now, nothing
    where nobody knows."""

    def __init__(
        self,
        address: Callable[[], str],
        job: str,
        diagnosis: Diagnosis,
        kafka: KafkaLook | None = None,
        state: Path | None = None,
    ) -> None:
        """`state`: the folder of the stream, whose disk is looked at where this machine has it."""
        self._address, self._job, self._kafka, self._state = address, job, kafka, state
        self._look: FlinkLook | None = None
        self.facts = Facts(time.time())
        self.problems: Sequence[Problem] = ()
        self.by_model: Mapping[str, Gauges] = {}
        self.follow(diagnosis)
        threading.Thread(target=self._keep_looking, name="looks", daemon=True).start()

    def follow(self, diagnosis: Diagnosis) -> None:
        """Tells by this one, and of its models, from now on."""
        self._diagnosis = diagnosis

    @property
    def address(self) -> str:
        """Of the JobManager that is looked at; nothing where there is none."""
        return self._look.rest.address if self._look else ""

    @property
    def trouble(self) -> str:
        """Why Flink tells nothing."""
        return self.facts.flink.trouble if self.facts.flink else ""

    def _keep_looking(self) -> None:
        while True:
            address = self._address()
            if address and address != self.address:
                self._look = FlinkLook(FlinkRest(address), self._job)
            flink = self._look.facts() if self._look else None
            room = room_of(self._state) if self._state and self._state.is_dir() else None
            facts = Facts(time.time(), flink, self._kafka.facts() if self._kafka else None, room)
            self.facts, self.problems = facts, self._diagnosis.of(facts)
            self.by_model = {
                model: gauges
                for model in self._diagnosis.models
                if flink and (gauges := _gauges(flink, model))
            }
            time.sleep(_LOOK_S)


def _gauges(flink: FlinkFacts, model: str) -> Gauges:
    names = {kind: f"ScoreWithLiftWing_{kind}_{model}" for kind in (*_SUMS, *_MOSTS)}
    known = {kind: flink.metrics[name] for kind, name in names.items() if name in flink.metrics}
    return {kind: metric.total if kind in _SUMS else metric.most for kind, metric in known.items()}
