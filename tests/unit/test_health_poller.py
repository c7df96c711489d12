"""What the page knows of a stream when looking at it goes wrong."""

from __future__ import annotations

import time
from typing import cast

import pytest

from pipeline.health.diagnosis import Diagnosis
from pipeline.health.facts import Facts, FlinkFacts, Metric
from pipeline.health.stream_monitor import StreamMonitor
from pipeline.watch import health_poller
from pipeline.watch.health_poller import HealthPoller

PATIENCE_S = 20


class Monitor:
    """Tells of a job that runs, and in its turn raises."""

    error: Exception | None = None

    def facts(self) -> Facts:
        if self.error:
            raise self.error
        metrics = {"ScoreWithLiftWing_in_flight_damaging": Metric(3, 3)}
        return Facts(time.time(), FlinkFacts(state="RUNNING", last_checkpoint=time.time(), metrics=metrics))


def test_a_look_that_fails_says_so_and_is_followed_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_poller, "_LOOK_S", 0.01)
    monitor = Monitor()
    health = HealthPoller(cast(StreamMonitor, monitor), Diagnosis(["damaging"], []))
    seen = []
    for error, trouble in [
        (None, ""),
        (RecursionError("too deep"), "how the stream is cannot be told: RecursionError: too deep"),
        (None, ""),
    ]:
        monitor.error, until = error, time.monotonic() + PATIENCE_S
        is_told = {"": {"damaging": {"in_flight": 3}}}.get(trouble, {})
        while health.trouble != trouble or health.by_model != is_told:
            assert time.monotonic() < until, (health.trouble, health.by_model)
            time.sleep(0.005)
        seen.append(trouble)
    assert len(seen) == 3
