"""Looks at a running stream every five seconds, and tells its operator what changes, and once a minute what
it has done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from pipeline.checks.findings import WRONG, Finding
from pipeline.console import command_log
from pipeline.health.diagnosis import Diagnosis
from pipeline.health.facts import Facts, counts
from pipeline.health.notifier import Notifier
from pipeline.health.stream_monitor import StreamMonitor

_LOOK_S, _REPORT_S = 5.0, 60.0
_OF_SINK = ("stream", "refused", "written")  # problems whose words only the sink knows


class Observer:
    """Looks at a stream from when its job first runs until `stop` is set, in a thread of its own.

    Nothing that happens to it ends the stream.
    """

    def __init__(
        self, monitor: StreamMonitor, diagnosis: Diagnosis, ask_sink: Callable[[], Iterable[Finding]]
    ) -> None:
        """`ask_sink` looks at what is wrong with where scores go; it is asked when they are not taken, once a
        minute at most."""
        self._monitor, self._diagnosis, self._ask_sink = monitor, diagnosis, ask_sink
        self._notifier = Notifier(command_log.warn)
        self._next_asking = 0.0
        self._has_run = False
        self._next_report = 0.0

    def start(self, stop: threading.Event) -> None:
        """Starts the thread."""
        threading.Thread(target=self._keep_looking, args=(stop,), name="observer", daemon=True).start()

    def _keep_looking(self, stop: threading.Event) -> None:
        while not stop.wait(_LOOK_S):
            try:
                self._tell(self._monitor.facts(with_kafka=self._has_run), stop)
            except Exception as error:  # whatever it is, the stream is more important than what is said of it
                command_log.warn(f"how the stream is cannot be told: {type(error).__name__}: {error}")

    def _tell(self, facts: Facts, stop: threading.Event) -> None:
        if facts.flink and not facts.flink.trouble and not self._has_run:
            self._has_run, self._next_report = True, facts.at + _REPORT_S
        if not self._has_run or stop.is_set():
            return
        problems = self._diagnosis.find(facts)
        self._notifier.update(problems, facts.at)
        if facts.at >= self._next_asking and any(problem.key[0] in _OF_SINK for problem in problems):
            self._next_asking = facts.at + _REPORT_S
            self._tell_of_sink()
        if facts.at >= self._next_report and facts.flink and not facts.flink.trouble:
            self._next_report = facts.at + _REPORT_S
            command_log.say(
                ", ".join(
                    f"{count} {what}" for what, count in counts(facts.flink, self._diagnosis.models).items()
                )
            )

    def _tell_of_sink(self) -> None:
        try:
            for finding in self._ask_sink():
                if finding.state == WRONG:
                    command_log.warn(f"where scores go: {finding.text}")
        except Exception as error:  # such as a broker's, which may be why scores are not taken
            command_log.warn(f"where scores go cannot be looked at: {type(error).__name__}: {error}")
