"""Where reading a Kafka partition goes on, as Flink's state keeps it, and where it begins without state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

EARLIEST, LATEST = "earliest", "latest"
_VERSION = 1
_TIMEOUT_S = 5.0
_UNKNOWN_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # of a topic, at brokers before 2.8
_ABSENT = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)


class Partition(NamedTuple):
    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"

    @classmethod
    def of(cls, text: str) -> Partition:
        """Returns the partition that `str` names."""
        topic, _, number = text.rpartition("/")
        return cls(topic, int(number))


@dataclass(frozen=True)
class Place:
    """The next message to read of a partition, and of which Kafka and topic it is the next."""

    cluster_id: str
    topic_id: str
    offset: int | None = None  # None: the oldest that is there
    time_ms: int = 0  # timestamp of the message before it; 0: none was read yet

    def encode(self) -> bytes:
        """Returns the place as Flink's state keeps it: JSON with a version."""
        return orjson.dumps([_VERSION, self.cluster_id, self.topic_id, self.offset, self.time_ms])

    @classmethod
    def decode(cls, encoded: bytes) -> Place:
        """Returns what `encode` wrote. Raises ValueError for what another version wrote."""
        version, *fields = orjson.loads(encoded)
        if version != _VERSION:
            raise ValueError(
                f"expected a place of format {_VERSION} in the state, got {version}; go on with the "
                "version of revision-scores that wrote it"
            )
        return cls(*fields)

    @classmethod
    def last_of(cls, encoded: Iterable[bytes]) -> Place | None:
        """Returns the last of encoded places, which is the one that counts; None where there is none."""
        *_, last = [None, *encoded]
        return cls.decode(last) if last else None

    @property
    def name(self) -> str:
        """A text that differs from that of every other place of the partition."""
        return f"{self.topic_id}@{'oldest' if self.offset is None else self.offset}"

    def is_in_another_topic(self, there: Place) -> bool:
        """Returns whether the topic that has this name now is not the one that was read."""
        return self.cluster_id != there.cluster_id or (
            self.topic_id != there.topic_id and _UNKNOWN_ID not in (self.topic_id, there.topic_id)
        )


class KafkaPlaces:
    """Finds the places of topics in a Kafka, for a consumer group. Each call takes some seconds at most, and
    raises KafkaException."""

    def __init__(self, settings: Mapping[str, str], group: str) -> None:
        self._admin = AdminClient({**settings, "log_level": 0})
        self._consumer = Consumer(
            {**settings, "group.id": group, "enable.auto.commit": False, "log_level": 0}
        )

    def cluster_id(self) -> str:
        return str(self._admin.describe_cluster(request_timeout=_TIMEOUT_S).result().cluster_id)

    def oldest(self, topics: Sequence[str]) -> dict[Partition, Place]:
        """Returns the oldest place of each partition; of the topics that are there."""
        cluster_id = self.cluster_id()
        described = self._admin.describe_topics(TopicCollection(list(topics)), request_timeout=_TIMEOUT_S)
        places: dict[Partition, Place] = {}
        for topic, future in described.items():
            try:
                found = future.result()
            except KafkaException as error:
                if error.args[0].code() not in _ABSENT:
                    raise
            else:
                places |= {
                    Partition(topic, partition.id): Place(cluster_id, str(found.topic_id))
                    for partition in found.partitions
                }
        return places

    def starting(self, oldest: Mapping[Partition, Place], start: str | int) -> dict[Partition, Place]:
        """Returns where a run without a snapshot begins: where its group stopped; for a group without any
        place, at `start`: earliest, latest or milliseconds since the epoch. A partition in which the group
        has no place while it has others is new, and read from its oldest message."""
        committed = self._committed(list(oldest))
        offsets = committed or self._started(list(oldest), start)
        return {
            partition: Place(place.cluster_id, place.topic_id, offsets.get(partition))
            for partition, place in oldest.items()
        }

    def commit(self, places: Mapping[Partition, Place]) -> None:
        """Writes places for the group, so that a run that dies before its first checkpoint begins again where
        it began."""
        if offsets := [
            TopicPartition(*partition, place.offset)
            for partition, place in places.items()
            if place.offset is not None
        ]:
            self._consumer.commit(offsets=offsets, asynchronous=False)

    def _committed(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        found = self._consumer.committed(
            [TopicPartition(*partition) for partition in partitions], timeout=_TIMEOUT_S
        )
        return dict(_offsets(found))

    def _started(self, partitions: Sequence[Partition], start: str | int) -> dict[Partition, int]:
        if start == EARLIEST:
            return {}
        ends = {
            partition: self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=_TIMEOUT_S)[1]
            for partition in partitions
        }
        if not isinstance(start, int):
            return ends
        since = [TopicPartition(*partition, start) for partition in partitions]
        return {**ends, **dict(_offsets(self._consumer.offsets_for_times(since, timeout=_TIMEOUT_S)))}


def _offsets(found: Sequence[TopicPartition]) -> Iterator[tuple[Partition, int]]:
    for each in found:
        if each.error:
            raise KafkaException(each.error)
        if each.offset >= 0:
            yield Partition(each.topic, each.partition), each.offset
