"""What can be wrong with one output stream, as real brokers and a real HTTP server do it, for
`stream_isolation`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from runners.local_kafka import LocalKafka
from tests.benchmarks.meanwhile import meanwhile
from tests.benchmarks.record_batch import last_batch, produce, with_later_epoch

BROKER_SETTINGS = """\
auto.create.topics.enable=false
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""
OF_KAFKA = ("deleted", "compact", "denied", "replicas", "hangs", "producer")
_PATIENCE_S = 30


class KafkaFaults:
    """Of one topic of a broker; each is a context in which the topic takes nothing."""

    def __init__(self, kafka: LocalKafka, topic: str) -> None:
        self._kafka, self._topic = kafka, topic
        self._admin = AdminClient({"bootstrap.servers": kafka.address, "log_level": 0})

    @contextmanager
    def prepared(self, fault: str) -> Iterator[None]:
        """What has to be before the stream starts: a second broker, that leads this topic alone (hangs) or
        has its second replica (replicas)."""
        if fault not in ("hangs", "replicas"):
            yield
            return
        with LocalKafka(self._kafka.folder / "second", beside=self._kafka) as self._second:
            self._delete()
            self._create(NewTopic(self._topic, 1, replica_assignment=[[2]] if fault == "hangs" else [[1, 2]]))
            self._kafka.configure_topic(self._topic, "min.insync.replicas", "1" if fault == "hangs" else "2")
            try:
                yield
            finally:
                self._second.thaw()

    @contextmanager
    def deleted(self) -> Iterator[None]:
        self._delete()
        yield
        self._create(NewTopic(self._topic, 1, 1))

    @contextmanager
    def compact(self) -> Iterator[None]:
        """Which takes no message without a key."""
        self._kafka.configure_topic(self._topic, "cleanup.policy", "compact")
        yield
        self._kafka.configure_topic(self._topic, "cleanup.policy", "delete")

    @contextmanager
    def replicas(self) -> Iterator[None]:
        """One of two, where two have to acknowledge."""
        with self.hangs():
            yield

    @contextmanager
    def denied(self) -> Iterator[None]:
        of_topic = (ResourceType.TOPIC, self._topic, ResourcePatternType.LITERAL)
        of_all = AclBindingFilter(*of_topic, None, None, AclOperation.ANY, AclPermissionType.ANY)
        rules = [
            AclBinding(*of_topic, "User:*", "*", AclOperation.ALL, AclPermissionType.ALLOW),
            AclBinding(*of_topic, "User:*", "*", AclOperation.WRITE, AclPermissionType.DENY),
        ]
        for created in self._admin.create_acls(rules).values():
            created.result(_PATIENCE_S)
        end = time.monotonic() + _PATIENCE_S
        while len(self._admin.describe_acls(of_all).result(_PATIENCE_S)) < len(rules):  # the broker knows
            if time.monotonic() > end:
                raise TimeoutError(f"{self._topic} has not got its rules")
            time.sleep(0.1)
        yield
        for deleted in self._admin.delete_acls([of_all]).values():
            deleted.result(_PATIENCE_S)

    @contextmanager
    def hangs(self) -> Iterator[None]:
        self._second.freeze()
        yield
        self._second.thaw()

    @contextmanager
    def producer(self) -> Iterator[None]:
        """Somebody has taken the id of our producer, again and again, so that the broker refuses what it
        sends."""
        self._fence()
        with meanwhile(self._fence, every_s=5):
            yield

    def _fence(self) -> None:
        segment = max((self._kafka.folder / "data" / f"{self._topic}-0").glob("*.log"))
        if (batch := last_batch(segment.read_bytes())) is not None:
            produce(self._kafka.address, self._topic, with_later_epoch(batch))

    def _delete(self) -> None:
        self._admin.delete_topics([self._topic])[self._topic].result(_PATIENCE_S)
        end = time.monotonic() + _PATIENCE_S
        while self._topic in self._kafka.topics() and time.monotonic() < end:
            time.sleep(0.1)

    def _create(self, topic: NewTopic) -> None:
        """Tries again while the broker that is to have it is not known yet."""
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._admin.create_topics([topic])[self._topic].result(_PATIENCE_S)
                return
            except KafkaException:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)
