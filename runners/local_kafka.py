"""One real Kafka broker on this machine, for the demo, the tests, the benchmarks and a first try: `python -m
runners.local_kafka`."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
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
from pipeline.process.child_process import Server, ServerError, check_free, find_java, free_port
from pipeline.process.signals import stop_on_signals

JARS = Path(__file__).parent / "kafka" / "target" / "jars"
_MODELS = Path(__file__).parent.parent / "pipeline" / "models.yaml"

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
    `beside`: another of the same cluster, which is up already and controls it."""

    def __init__(
        self,
        folder: Path,
        more_listeners: Mapping[str, str] | None = None,
        more_settings: str = "",
        port: int | None = None,
        beside: LocalKafka | None = None,
    ) -> None:
        if not JARS.is_dir():
            raise FileNotFoundError(f"no Kafka jars in {JARS}; build them: make build")
        folder.mkdir(parents=True, exist_ok=True)
        port = port or free_port()
        self._properties = folder / "server.properties"
        listeners = ",".join(
            f"{name}://{address}"
            for name, address in {"PLAINTEXT": f"127.0.0.1:{port}", **(more_listeners or {})}.items()
        )
        self.cluster_id: str = beside.cluster_id if beside else uuid.uuid4().hex[:22]
        self._controller_port: int = beside._controller_port if beside else free_port()
        settings = _PROPERTIES.format(
            roles="broker" if beside else "broker,controller",
            node=2 if beside else 1,
            controller_listener="" if beside else f",CONTROLLER://127.0.0.1:{self._controller_port}",
            listeners=listeners,
            controller_port=self._controller_port,
            folder=folder,
        )
        settings += more_settings
        self._properties.write_text(settings, encoding="utf-8")
        self.folder = folder
        command = [find_java(), "-Xmx512m", "-cp", f"{JARS}/*", "kafka.Kafka", str(self._properties)]
        super().__init__("the Kafka broker", command, port, folder / "broker.log")

    def start(self) -> None:
        if not (self.folder / "data" / "meta.properties").is_file():  # else it starts again with what it has
            self._format()
        super().start()

    def _format(self) -> None:
        tool = [
            find_java(),
            "-cp",
            f"{JARS}/*",
            "kafka.tools.StorageTool",
            "format",
            "-t",
            self.cluster_id,
            "-c",
            str(self._properties),
        ]
        with (self.folder / "format.log").open("wb") as log:
            subprocess.run(tool, stdout=log, stderr=subprocess.STDOUT, check=True)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power cut would; `start` starts it again with what it has."""
        self._signal(signal.SIGKILL)
        assert self._process
        self._process.wait()

    def _signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    def create_topics(self, *names: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        for created in admin.create_topics(
            [NewTopic(name, 1, 1) for name in names], operation_timeout=_PATIENCE_S
        ).values():
            created.result(_PATIENCE_S)

    def configure_topic(self, name: str, setting: str, value: str) -> None:
        """Returns when the broker goes by it. Raises TimeoutError."""
        change = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[change])
        asked, end = ConfigResource(ResourceType.TOPIC, name), time.monotonic() + _PATIENCE_S
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
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
        return set(
            AdminClient({"bootstrap.servers": self.address, "log_level": 0})
            .list_topics(timeout=_PATIENCE_S)
            .topics
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m runners.local_kafka",
        description="A Kafka broker on this machine, with the topics of a models file.",
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("kafka"), metavar="DIR", help="its data and log (default: kafka)"
    )
    parser.add_argument("--port", type=int, default=9092, help="0: any free one (default: 9092)")
    parser.add_argument(
        "--models", type=Path, default=_MODELS, metavar="FILE", help="models file (default: the shipped one)"
    )
    arguments = parser.parse_args()
    stop, configuration = stop_on_signals(), load(arguments.models)
    inputs = input_topics(configuration, None)
    try:
        check_free("--port", arguments.port)
        with LocalKafka(arguments.folder.resolve(), port=arguments.port) as broker:
            if missing := {*inputs, *output_topics(configuration, inputs)} - broker.topics():
                broker.create_topics(*sorted(missing))
            print(
                f"Kafka at {broker.address}, topics of {arguments.models}, data in "
                f"{arguments.folder.resolve()}; Ctrl-C stops",
                flush=True,
            )
            stop.wait()
    except (ServerError, FileNotFoundError) as error:
        print(f"local_kafka: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
