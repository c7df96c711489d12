"""One real Kafka broker on this machine, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from pipeline.servers import Server, find_java, free_port

JARS = Path(__file__).parent / "kafka" / "target" / "jars"

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
num.partitions=1
"""


class LocalKafka(Server):
    """A broker with its data below `folder`; one partition a topic, as Wikimedia's edit streams have."""

    def __init__(self, folder: Path) -> None:
        if not JARS.is_dir():
            raise FileNotFoundError(f"no Kafka jars in {JARS}; build them: make build")
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self._properties = folder / "server.properties"
        self._properties.write_text(_PROPERTIES.format(port=port, controller_port=free_port(), folder=folder), encoding="utf-8")
        self._format_log = folder / "format.log"
        command = [find_java(), "-Xmx512m", "-cp", f"{JARS}/*", "kafka.Kafka", str(self._properties)]
        super().__init__("the Kafka broker", command, port, folder / "broker.log")

    def start(self) -> None:
        with self._format_log.open("wb") as log:
            subprocess.run(
                [find_java(), "-cp", f"{JARS}/*", "kafka.tools.StorageTool", "format", "--ignore-formatted"]
                + ["-t", uuid.uuid4().hex[:22], "-c", str(self._properties)],
                stdout=log,
                stderr=subprocess.STDOUT,
                check=True,
            )
        super().start()

    def create_topics(self, *names: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        for created in admin.create_topics([NewTopic(name, 1, 1) for name in names], operation_timeout=20).values():
            created.result(20)

    def configure_topic(self, name: str, setting: str, value: str) -> None:
        change = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[change])
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        for changed in admin.incremental_alter_configs([resource]).values():
            changed.result(20)
