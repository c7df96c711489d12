"""The command `watch` itself: reads, counts, and publishes once a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.kafka import Kafka
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import GROUP, STATE, KafkaOptions, LogOptions, SomeWikisOptions
from pipeline.config.topics import input_topics
from pipeline.console import command_log
from pipeline.flink import flink_address
from pipeline.flink.state_folder import folder_of
from pipeline.health.diagnosis import Diagnosis
from pipeline.health.flink_monitor import FlinkMonitor
from pipeline.health.kafka_monitor import KafkaMonitor
from pipeline.health.stream_monitor import StreamMonitor
from pipeline.options import option
from pipeline.process.disk import room_if_known
from pipeline.process.signals import stop_on_signals
from pipeline.usage_error import UsageError
from pipeline.watch import readiness
from pipeline.watch.allowed_hosts import AllowedHosts
from pipeline.watch.board import BoardMaker
from pipeline.watch.exposition import exposition
from pipeline.watch.health_poller import HealthPoller
from pipeline.watch.links import Links
from pipeline.watch.models_file_watcher import ModelsFileWatcher
from pipeline.watch.rolling_window import slice_of
from pipeline.watch.server import Events, PageServer, Probe
from pipeline.watch.tally import Tally
from pipeline.watch.topic_reader import TopicReader
from transforms.models.model import Configuration

_TAKE_S, _PUBLISH_S = 0.2, 1.0


@dataclass(frozen=True, kw_only=True)
class Options(LogOptions, KafkaOptions, SomeWikisOptions):
    input_topics: str | None = option(
        "--input-topics",
        metavar="TOPICS",
        help="what the stream reads, with commas between (default: what the models want, of each datacenter)",
    )
    flink: str | None = option(
        "--flink",
        metavar="HOST:PORT",
        help="JobManager, which knows causes (default: where a stream noted it in --state)",
    )
    state: Path = option(
        "--state",
        type=Path,
        default=STATE,
        metavar="DIR",
        help="the stream's --state, where the address of its Flink is",
    )
    group: str = option(
        "--group",
        default=GROUP,
        help=f"the stream's --group, which is the name of its job (default: {GROUP})",
    )
    address: str = option(
        "--address",
        default="127.0.0.1",
        metavar="HOST",
        help="where to listen; 0.0.0.0 for other machines too (default: 127.0.0.1)",
    )
    port: int = option("--port", type=int, default=8080, help="of the page; 0: any free one (default: 8080)")
    runbook: str | None = option(
        "--runbook", metavar="URL", help="of docs/operate.md where your people read it, linked by the page"
    )
    grafana: str | None = option("--grafana", metavar="URL", help="of the dashboard, linked by the page")
    host_names: str | None = option(
        "--host-names",
        metavar="NAMES",
        help="other names of this machine or of a proxy before it, with commas between",
    )


def run(options: Options) -> int:
    """Serves the page until SIGTERM or Ctrl-C. Returns 0."""
    configuration = load_with(options.models, options.overrides)
    command_log.configure("watch", options.log_format, options.log_level)
    kafka = Kafka(options.kafka, options.kafka_properties)
    stop, events = stop_on_signals(), Events()
    watching = _Watching(configuration, options, kafka)
    server = _serve(options, events, watching.probes)
    command_log.say(f"watching {kafka.address} at {server.url}; Ctrl-C stops")
    due, shown = 0.0, 0
    while not stop.is_set():
        watching.take()
        if (now := time.time()) >= due:
            due = now + _PUBLISH_S
            events.publish("board", watching.make_board(now))
            if slice_of(now) > shown:
                shown = slice_of(now)
                events.publish("lines", watching.maker.lines(now))
    server.shutdown()
    watching.reader.close()
    return 0


def _serve(options: Options, events: Events, probes: Mapping[str, Probe]) -> PageServer:
    try:
        hosts = AllowedHosts(f"{options.address},{options.host_names or ''}")
        return PageServer((options.address, options.port), events, probes, hosts)
    except OSError as error:
        raise UsageError(
            f"--port: {options.address}:{options.port} cannot be listened on: {error.strerror}; name "
            "another one"
        ) from error


class _Watching:
    """What is counted of a stream, with the models that its models file has now."""

    def __init__(self, configuration: Configuration, options: Options, kafka: Kafka) -> None:
        topics = input_topics(configuration, options.input_topics)
        self.tally = Tally(configuration, topics if options.input_topics else None)
        self.reader = TopicReader(kafka, self.tally.topics)
        state = folder_of(options.state, options.group)
        monitor = StreamMonitor(
            FlinkMonitor(_address(options), options.group),
            KafkaMonitor(kafka, options.group, topics, ()),
            # a disk that this machine has, and lets be seen
            lambda: room_if_known(state) if os.path.isdir(state) else None,
        )
        self.health = HealthPoller(monitor, self._diagnosis)
        links = Links(options.lift_wing, options.runbook, options.grafana)
        self.maker = BoardMaker(self.tally, self.reader, self.health, links)
        self.probes: dict[str, Probe] = {
            "/healthz": lambda: readiness.healthz(self._board, time.time()),
            "/readyz": lambda: readiness.readyz(self._board, self.health, time.time()),
            "/metrics": lambda: (200, exposition(self.health.facts, options.group, time.time())),
        }
        self._models_file = ModelsFileWatcher(options.models, options.overrides)
        self._board: dict[str, Any] = {}
        self._has_begun = False

    @property
    def _diagnosis(self) -> Diagnosis:
        return Diagnosis(self.tally.models, self.tally.topics)

    def take(self) -> None:
        """Counts the messages that come within `_TAKE_S`."""
        for message in self.reader.read(_TAKE_S):
            self.tally.add(message.topic(), message.value(), message.timestamp()[1] / 1000, time.time())
        if self.reader.has_history and not self._has_begun:
            self._has_begun = True
            self.tally.finish_history()

    def make_board(self, now: float) -> dict[str, Any]:
        """Follows a models file that has changed, and returns what the page shows."""
        if changed := self._models_file.poll():
            self.tally.follow(changed)
            self.reader.follow(self.tally.topics)
            self.health.follow(self._diagnosis)
        self.maker.trouble = self._models_file.trouble
        self.tally.forget(now)
        self.maker.note_calls(now)
        self._board = self.maker.board(now)
        return self._board


def _address(options: Options) -> Callable[[], str]:
    """Returns what tells where the JobManager is: as the command line says, else as a stream has noted it in
    its state."""
    return lambda: options.flink or flink_address.read(folder_of(options.state, options.group))
