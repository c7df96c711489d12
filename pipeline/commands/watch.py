"""The command `watch` itself: reads, counts, and publishes once a second."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from pipeline.config.kafka import Kafka, input_topics
from pipeline.console import operator_log
from pipeline.flink import flink_address
from pipeline.flink.state_folder import folder_of
from pipeline.health.diagnosis import Diagnosis
from pipeline.health.kafka_facts import KafkaLook
from pipeline.process.signals import stop_on_signals
from pipeline.usage_error import UsageError
from pipeline.watch import readiness
from pipeline.watch.board import BoardMaker
from pipeline.watch.exposition import exposition
from pipeline.watch.hosts import Hosts
from pipeline.watch.links import Links
from pipeline.watch.looks import Looks
from pipeline.watch.messages import Messages
from pipeline.watch.models_file import ModelsFile
from pipeline.watch.recent import slice_of
from pipeline.watch.server import Events, PageServer, Probe
from pipeline.watch.tally import Tally
from transforms.models.model import Configuration

_TAKE_S, _PUBLISH_S = 0.2, 1.0


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Serves the page until SIGTERM or Ctrl-C. Gives 0."""
    operator_log.configure("watch", arguments.log_format, arguments.log_level)
    kafka = Kafka(arguments.kafka, arguments.kafka_properties)
    stop, events = stop_on_signals(), Events()
    watching = _Watching(configuration, arguments, kafka)
    try:
        hosts = Hosts(f"{arguments.address},{arguments.host_names or ''}")
        server = PageServer(arguments.address, arguments.port, events, watching.probes, hosts)
    except OSError as error:
        raise UsageError(f"--port: {arguments.address}:{arguments.port} cannot be listened on: {error.strerror}; name another one") from error
    operator_log.say(f"watching {kafka.address} at {server.url}; Ctrl-C stops")
    due, told = 0.0, 0
    while not stop.is_set():
        watching.take()
        if (now := time.time()) >= due:
            due = now + _PUBLISH_S
            events.publish("board", watching.board(now))
            if slice_of(now) > told:
                told = slice_of(now)
                events.publish("lines", watching.maker.lines(now))
    server.shutdown()
    watching.messages.close()
    return 0


class _Watching:
    """What is counted of a stream, with the models that its models file has now."""

    def __init__(self, configuration: Configuration, arguments: argparse.Namespace, kafka: Kafka) -> None:
        topics = input_topics(configuration, arguments.input_topics)
        self.tally = Tally(configuration, topics if arguments.input_topics else None)
        self.messages = Messages(kafka, self.tally.topics)
        self.looks = Looks(_address(arguments), arguments.group, self._diagnosis, KafkaLook(kafka, arguments.group, topics, ()), folder_of(arguments))
        self.maker = BoardMaker(configuration, self.tally, self.messages, self.looks, Links(arguments.lift_wing, arguments.runbook, arguments.grafana))
        self.probes: dict[str, Probe] = {
            "/healthz": lambda: readiness.healthz(self._board, time.time()),
            "/readyz": lambda: readiness.readyz(self._board, self.looks, time.time()),
            "/metrics": lambda: (200, exposition(self.looks.facts, arguments.group, time.time())),
        }
        self._models_file = ModelsFile(arguments)
        self._board: dict[str, Any] = {}
        self._has_begun = False

    @property
    def _diagnosis(self) -> Diagnosis:
        return Diagnosis(self.tally.models, self.tally.topics)

    def take(self) -> None:
        """Counts what comes within a moment."""
        for message in self.messages.take(_TAKE_S):
            self.tally.take(message.topic(), message.value(), message.timestamp()[1] / 1000, time.time())
        if self.messages.has_history and not self._has_begun:
            self._has_begun = True
            self.tally.begin()

    def board(self, now: float) -> dict[str, Any]:
        if changed := self._models_file.changed():
            self.tally.follow(changed)
            self.messages.follow(self.tally.topics)
            self.looks.follow(self._diagnosis)
            self.maker.follow(changed)
        self.maker.trouble = self._models_file.trouble
        self.tally.forget(now, self.maker.parked)
        self.maker.note_calls(now)
        self._board = self.maker.board(now)
        return self._board


def _address(arguments: argparse.Namespace) -> Callable[[], str]:
    """Where the JobManager is: as the command line says, else as a stream has noted it in its state."""
    return lambda: arguments.flink or flink_address.noted(folder_of(arguments))
