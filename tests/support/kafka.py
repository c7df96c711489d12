"""Topics of a real broker, written to and read."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from pathlib import Path

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from confluent_kafka import Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from runners.local_kafka import LocalKafka
from transforms.connectors.kafka_offsets import KafkaPlaces, Partition, Place
from transforms.connectors.kafka_sink import WriteToKafka
from transforms.connectors.offset_ranges import messages, offset_ranges
from transforms.connectors.partition_reader import PartitionReader
from transforms.elements import OutputEvent

NOW = "2024-02-15T00:00:00.000000Z"
ERRORS = "mediawiki.revision-score.error"


def write(address: str, *events: OutputEvent, properties: Path | None = None) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as p:
        _ = p | beam.Create(events, reshuffle=False) | WriteToKafka(address, ERRORS, properties, lambda: NOW)


def in_topic(address: str, *topics: str) -> list[Message]:
    settings = {"bootstrap.servers": address}
    return list(messages(settings, offset_ranges(settings, topics)))


PATIENCE_S = 30


class Topic:
    """A topic of one test."""

    def __init__(self, kafka: LocalKafka, partitions: int = 1) -> None:
        self.name = f"eqiad.{uuid.uuid4().hex[:8]}"
        self.settings = {"bootstrap.servers": kafka.address}
        self._kafka, self._admin = kafka, AdminClient({**self.settings, "log_level": 0})
        self.first = Partition(self.name, 0)
        kafka.create_topics(self.name)
        if partitions > 1:
            self.grow(partitions)

    def grow(self, partitions: int) -> None:
        self._admin.create_partitions([NewPartitions(self.name, partitions)])[self.name].result(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while (
            len(self._admin.list_topics(self.name, timeout=PATIENCE_S).topics[self.name].partitions)
            < partitions
        ):
            assert time.monotonic() < deadline

    def send(self, values: Iterable[int | bytes], number: int = 0, timestamp_ms: int = 0) -> None:
        producer = Producer({**self.settings, "log_level": 0})
        for value in values:
            producer.produce(
                self.name,
                value if isinstance(value, bytes) else str(value),
                partition=number,
                timestamp=timestamp_ms,
            )
        assert producer.flush(PATIENCE_S) == 0

    def expire(self, before: int) -> None:
        """Removes what is before an offset, as retention does."""
        place = TopicPartition(self.name, 0, before)
        self._admin.delete_records([place])[place].result(PATIENCE_S)

    def delete(self) -> None:
        self._admin.delete_topics([self.name])[self.name].result(PATIENCE_S)

    def make_anew(self) -> None:
        self.delete()
        deadline = time.monotonic() + PATIENCE_S
        while self.name in self._admin.list_topics(timeout=PATIENCE_S).topics:
            assert time.monotonic() < deadline
        self._kafka.create_topics(self.name)

    def places(self, group: str = "readers") -> KafkaPlaces:
        return KafkaPlaces(self.settings, group)

    def place(self, offset: int | None = None, time_ms: int = 0) -> Place:
        there = self.places().oldest([self.name])[self.first]
        return Place(there.cluster_id, there.topic_id, offset, time_ms)

    def reader(self, place: Place) -> PartitionReader:
        return PartitionReader(self.settings, "readers", self.first, place)
