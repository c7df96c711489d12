"""One real Kafka broker on this machine, for the demo, the tests, the benchmarks and a first try: `python -m
runners.local_kafka`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from pipeline.config.models_file import load
from pipeline.config.topics import input_topics, output_topics
from pipeline.options import option
from pipeline.process.child_process import Server, ServerError, check_free, find_java, free_port
from pipeline.process.signals import stop_on_signals
from runners.command_line import parse
from runners.programs import SHIPPED_MODELS

JARS = Path(__file__).parent / "kafka" / "target" / "jars"

_PROPERTIES = """\
process.roles={roles}
node.id={node}
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners={listeners}{controller_listener}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
num.partitions=1
log.retention.ms=-1
"""
_PATIENCE_S = 60


class LocalKafka(Server):
    """A broker with its data below `folder`; one partition a topic, as Wikimedia's edit streams have.

    `more_listeners`: addresses by listener; `more_settings`: lines of server.properties; `port`: of the plain
    listener; `beside`: another broker of the same cluster, which is up already and controls it.
    """

    def __init__(
        self,
        folder: Path,
        more_listeners: Mapping[str, str] | None = None,
        more_settings: str = "",
        *,
        port: int | None = None,
        beside: LocalKafka | None = None,
    ) -> None:
        if not JARS.is_dir():
            raise FileNotFoundError(f"no Kafka jars in {JARS}; build them: make build")
        folder.mkdir(parents=True, exist_ok=True)
        port = port or free_port()
        self.folder = folder
        self.cluster_id: str = beside.cluster_id if beside else uuid.uuid4().hex[:22]
        self._controller_port: int = beside._controller_port if beside else free_port()
        self._properties = folder / "server.properties"
        listeners = {"PLAINTEXT": f"127.0.0.1:{port}", **(more_listeners or {})}
        self._properties.write_text(
            self._settings(listeners, is_controller=beside is None) + more_settings, encoding="utf-8"
        )
        command = [find_java(), "-Xmx512m", "-cp", f"{JARS}/*", "kafka.Kafka", str(self._properties)]
        super().__init__("the Kafka broker", command, port, folder / "broker.log")

    def _settings(self, listeners: Mapping[str, str], *, is_controller: bool) -> str:
        return _PROPERTIES.format(
            roles="broker,controller" if is_controller else "broker",
            node=1 if is_controller else 2,
            controller_listener=f",CONTROLLER://127.0.0.1:{self._controller_port}" if is_controller else "",
            listeners=",".join(f"{name}://{address}" for name, address in listeners.items()),
            controller_port=self._controller_port,
            folder=self.folder,
        )

    def start(self) -> None:
        if not (self.folder / "data" / "meta.properties").is_file():  # else it starts again with what it has
            self._format()
        super().start()

    def _format(self) -> None:
        tool = ["kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c", str(self._properties)]
        command = [find_java(), "-cp", f"{JARS}/*", *tool]
        with (self.folder / "format.log").open("wb") as log:
            subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)

    def freeze(self) -> None:
        """Stops the process without ending it: its connections stay, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kills it, as a power cut would; `start` starts it again with what it has."""
        self._signal(signal.SIGKILL)
        assert self._process
        self._process.wait()

    def _signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    def create_topics(self, *names: str) -> None:
        """Creates topics and returns when they are there. Raises KafkaException, for one that is there
        already too."""
        admin, topics = self._admin(), [NewTopic(name, 1, 1) for name in names]
        for created in admin.create_topics(topics, operation_timeout=_PATIENCE_S).values():
            created.result(_PATIENCE_S)

    def configure_topic(self, name: str, setting: str, value: str) -> None:
        """Changes a setting and returns when the broker goes by it. Raises TimeoutError after a minute."""
        change = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[change])
        asked, end = ConfigResource(ResourceType.TOPIC, name), time.monotonic() + _PATIENCE_S
        admin = self._admin()
        found: object = None
        while found != value:
            if time.monotonic() > end:
                raise TimeoutError(f"{name}: expected {setting} {value}, found {found}")
            time.sleep(0.05)
            try:
                admin.incremental_alter_configs([resource])[resource].result(_PATIENCE_S)
                found = admin.describe_configs([asked])[asked].result(_PATIENCE_S)[setting].value
            except KafkaException as error:  # a topic that was just created is not known everywhere
                found = error
        time.sleep(0.1)  # it is told before it is done

    def topics(self) -> set[str]:
        """Returns the names of the topics that are there."""
        return set(self._admin().list_topics(timeout=_PATIENCE_S).topics)

    def _admin(self) -> AdminClient:
        """Returns a client that lasts as long as it is kept: what it was asked for ends with it."""
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})


@dataclass(frozen=True, kw_only=True)
class Options:
    folder: Path = option(
        "--folder", type=Path, default=Path("kafka"), metavar="DIR", help="its data and log (default: kafka)"
    )
    port: int = option("--port", type=int, default=9092, help="0: any free one (default: 9092)")
    models: Path = option(
        "--models",
        type=Path,
        default=SHIPPED_MODELS,
        metavar="FILE",
        help="models file (default: the shipped one)",
    )


def main() -> int:
    options = parse(
        Options, "local_kafka", "A Kafka broker on this machine, with the topics of a models file."
    )
    stop, configuration = stop_on_signals(), load(options.models)
    inputs, folder = input_topics(configuration, None), options.folder.resolve()
    try:
        check_free("--port", options.port)
        with LocalKafka(folder, port=options.port) as broker:
            if missing := {*inputs, *output_topics(configuration, inputs)} - broker.topics():
                broker.create_topics(*sorted(missing))
            print(
                f"Kafka at {broker.address}, topics of {options.models}, data in {folder}; Ctrl-C stops",
                flush=True,
            )
            stop.wait()
    except (ServerError, FileNotFoundError) as error:
        print(f"local_kafka: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
