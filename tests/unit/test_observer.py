"""What the operator of a stream is told while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import cast

import pytest

from pipeline.checks.findings import Finding
from pipeline.health import observer
from pipeline.health.diagnosis import Diagnosis
from pipeline.health.facts import Facts, FlinkFacts
from pipeline.health.observer import Observer
from pipeline.health.problems import ILL, Problem
from pipeline.health.stream_monitor import StreamMonitor

PATIENCE_S = 20


class Monitor:
    def facts(self, with_kafka: bool = True) -> Facts:
        return Facts(time.time(), FlinkFacts(state="RUNNING"))


class RefusedScores:
    models = ("damaging",)

    def __init__(self, stop: threading.Event, looks: int) -> None:
        self._stop, self._looks = stop, looks

    def find(self, facts: Facts) -> list[Problem]:
        self._looks -= 1
        if self._looks == 0:
            self._stop.set()
        return [Problem(("refused", "a.topic"), ILL, "a.topic takes no scores", "it takes them again")]


def test_a_sink_that_cannot_be_asked_keeps_nothing_else_from_being_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(observer, "_LOOK_S", 0.01)
    monkeypatch.setattr(observer, "_REPORT_S", 0.05)

    def ask_sink() -> Iterator[Finding]:
        raise ConnectionError("no broker answers")
        yield

    stop = threading.Event()
    diagnosis = cast(Diagnosis, RefusedScores(stop, looks=20))
    Observer(cast(StreamMonitor, Monitor()), diagnosis, ask_sink).start(stop)
    for thread in threading.enumerate():
        if thread.name == "observer":
            thread.join(PATIENCE_S)

    captured = capfd.readouterr()
    assert "0 events, 0 scores, 0 failures" in captured.out
    assert "a.topic takes no scores" in captured.err
    assert "where scores go cannot be looked at: ConnectionError: no broker answers" in captured.err
    assert "how the stream is cannot be told" not in captured.err
