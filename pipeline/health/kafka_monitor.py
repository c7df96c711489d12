"""Asks Kafka about a stream: whether it answers, which topics it lacks, and how far the stream is
behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from pipeline.config.kafka import Kafka
from pipeline.health.facts import KafkaFacts, Partition

_TRY_S = 3.0


class KafkaMonitor:
    """Looks at the topics that a group reads and the stream writes, again and again; joins no group."""

    def __init__(self, kafka: Kafka, group: str, read: Sequence[str], written: Sequence[str]) -> None:
        self._kafka, self._read, self._written = kafka, read, written
        settings = {**kafka.client, "log_level": 0}
        self._admin = AdminClient(settings)
        self._consumer = Consumer({**settings, "group.id": group, "enable.auto.commit": False})

    def facts(self) -> KafkaFacts:
        """Returns what is so now, within seconds; never raises."""
        try:
            found = self._admin.list_topics(timeout=_TRY_S).topics
            missing = [
                topic
                for topic in dict.fromkeys((*self._read, *self._written))
                if topic not in found or found[topic].error
            ]
            places = [
                TopicPartition(topic, number)
                for topic in self._read
                if topic in found
                for number in found[topic].partitions
            ]
            return KafkaFacts(missing=missing, lag=self._lag(places))
        except KafkaException as error:
            return KafkaFacts(f"no broker answers at {self._kafka.address} ({error.args[0].str()})")

    def _lag(self, places: list[TopicPartition]) -> Mapping[Partition, int]:
        if not places:
            return {}
        ends = {
            place: end.result().offset
            for place, end in self._admin.list_offsets(
                {each: OffsetSpec.latest() for each in places}, request_timeout=_TRY_S
            ).items()
        }
        read = self._consumer.committed(places, timeout=_TRY_S)
        return {
            Partition(place.topic, place.partition): max(0, ends[place] - place.offset)
            for place in read
            if place.offset >= 0 and place in ends
        }
