"""What the command line says of Kafka: the broker, how to enter it, and whether it has the topics that a run
needs."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from pipeline.usage_error import UsageError
from transforms.connectors.kafka_offsets import KafkaPlaces
from transforms.connectors.kafka_security import PropertiesError, client_settings

_PATIENCE_S, _TRY_S = 5.0, 0.5
_COORDINATOR_S = 30.0  # that a broker may take to find who keeps the places of a group
_STARTING = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TIMED_OUT,
    KafkaError._WAIT_COORD,
)
_NO_PATIENCE = (KafkaError._AUTHENTICATION, KafkaError._SSL)  # waiting mends neither
# in OpenSSL's words, which librdkafka gives with more around it or less
_UNTRUSTED = "certificate verify failed"


class Absent(NamedTuple):
    """Topics that a broker does not have."""

    missing: list[str]
    created: list[str]  # by the broker itself, as soon as somebody writes to them


@dataclass(frozen=True)
class Kafka:
    """The brokers at `address`, HOST:PORT with commas between, and a file with the properties of clients, in
    the words of Kafka's Java clients."""

    address: str
    properties: Path | None = None

    def __post_init__(self) -> None:
        """Raises UsageError unless the file can be used."""
        if self.properties is None:
            return
        try:
            _ = self.client
        except OSError as error:
            raise UsageError(
                f"--kafka-properties: {self.properties} cannot be read: {error.strerror}"
            ) from error
        except PropertiesError as error:
            raise UsageError(f"--kafka-properties: {self.properties}: {error}") from error

    @property
    def client(self) -> Mapping[str, str]:
        """Returns librdkafka's settings of a client of this process, secrets among them."""
        return client_settings(self.address, self.properties)

    def addresses(self) -> Iterator[str]:
        """Yields the brokers, each as HOST:PORT: those that were named, and if one lets us in all that it
        knows."""
        yield from self.address.split(",")
        with suppress(UsageError):  # `absent` tells
            for broker in self._enter()[1].brokers.values():
                yield (
                    f"[{broker.host}]:{broker.port}" if ":" in broker.host else f"{broker.host}:{broker.port}"
                )

    def topic_ids(self, topics: Sequence[str]) -> tuple[str, dict[str, str]]:
        """Returns the id of the cluster, and the ids of the topics that are there, by name. Raises
        UsageError."""
        with self._looking("say which topics it has"):
            kafka = KafkaPlaces(self.client, "revision-scores")
            return kafka.cluster_id(), {
                partition.topic: place.topic_id for partition, place in kafka.oldest(topics).items()
            }

    def begin(self, group: str, topics: Sequence[str], start: str | int) -> None:
        """Commits a place for a group without one, so that it begins at what is there now, not when its job
        runs.

        `start`: earliest, latest, or milliseconds since the epoch. Raises UsageError.
        """
        with self._looking(f"take places for --group {group}"):
            kafka = KafkaPlaces(self.client, group)
            deadline = time.monotonic() + _COORDINATOR_S
            while True:
                try:
                    kafka.commit(kafka.starting(kafka.oldest(topics), start))
                    return
                except KafkaException as error:
                    if error.args[0].code() not in _STARTING or time.monotonic() > deadline:
                        raise
                    time.sleep(_TRY_S)

    @contextmanager
    def _looking(self, what: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise UsageError(
                f"--kafka: the broker at {self.address} does not {what}: {error.args[0].str()}; look at "
                "its log and at what we may do there"
            ) from error

    def check_topics(self, read: Sequence[str], written: Sequence[str]) -> None:
        """Raises UsageError when no broker lets us in, or topics are missing that it will not create by
        itself."""
        if missing := self.absent(read, written).missing:
            raise UsageError(self.lacks(missing))

    def absent(self, read: Sequence[str], written: Sequence[str]) -> Absent:
        """Returns which of these topics are not there. Raises UsageError when no broker lets us in."""
        admin, found = self._enter()
        missing, created = (
            [topic for topic in topics if topic not in found.topics] for topics in (read, written)
        )
        return (
            Absent(missing, created)
            if not created or _creates_topics(admin, found)
            else Absent(missing + created, [])
        )

    def lacks(self, missing: Sequence[str]) -> str:
        """Returns the message for topics that are missing, with the commands that create them."""
        return (
            f"--kafka: the broker at {self.address} has no topic {', '.join(missing)}; create what is "
            f"missing: {self._create(missing)}"
        )

    def _create(self, topics: Iterable[str]) -> str:
        entry = f" --command-config {shlex.quote(str(self.properties))}" if self.properties else ""
        return (
            f"for topic in {' '.join(topics)}; do kafka-topics.sh --bootstrap-server "
            f"{self.address}{entry} --create --topic $topic; done"
        )

    def _enter(self) -> tuple[AdminClient, Any]:
        """Returns a client that a broker has let in, and the topics and brokers that it knows. Raises
        UsageError."""
        errors: list[KafkaError] = []
        try:
            admin = AdminClient({**self.client, "log_level": 0, "error_cb": errors.append})
        except KafkaException as error:  # a key it cannot open, a certificate that is none
            where = f"--kafka-properties: {self.properties}" if self.properties else "--kafka"
            raise UsageError(f"{where}: {error.args[0].str()}") from error
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return admin, admin.list_topics(timeout=_TRY_S)
            except KafkaException as error:
                admin.poll(0)
                errors = [error for error in errors if error.code() != KafkaError._ALL_BROKERS_DOWN]
                if time.monotonic() > deadline or (errors and _is_refusal(errors[-1])):
                    raise UsageError(self._locked_out(errors[-1] if errors else error.args[0])) from error

    def _locked_out(self, error: KafkaError) -> str:
        why = error.str().rpartition(" (after ")[0] or error.str()
        if _UNTRUSTED in why:
            repair = (
                "name the authority that signed its certificate as ssl.truststore.location in "
                "--kafka-properties, and the broker as the certificate does"
            )
            return f"--kafka: the broker at {self.address} cannot be trusted ({_UNTRUSTED}); {repair}"
        if _is_refusal(error):
            repair = (
                "mend --kafka-properties"
                if self.properties
                else "say how to enter with --kafka-properties FILE"
            )
            return f"--kafka: the broker at {self.address} does not let us in ({why}); {repair}"
        return f"--kafka: no broker answers at {self.address} ({why}); start it, or name another"


def _is_refusal(error: KafkaError) -> bool:
    """Returns whether there is a broker that does not let us in; one that refuses a certificate closes the
    connection with an alert."""
    return error.code() in _NO_PATIENCE or "SSL alert" in error.str() or _UNTRUSTED in error.str()


def _creates_topics(admin: AdminClient, found: Any) -> bool:
    """Returns whether the broker creates a topic as soon as somebody writes to it; False where we may not ask
    that."""
    broker = ConfigResource(ResourceType.BROKER, str(next(iter(found.brokers))))
    try:
        settings = admin.describe_configs([broker], request_timeout=_PATIENCE_S)[broker].result()
    except KafkaException:
        return False
    setting = settings.get("auto.create.topics.enable")
    return setting is not None and setting.value == "true"
