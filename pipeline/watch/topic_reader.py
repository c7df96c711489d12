"""Reads the messages of a stream's topics, from ten minutes ago on, whatever becomes of the broker
meanwhile."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.config.kafka import Kafka

_HISTORY_S = 600
_MOST_HISTORY = 50_000  # messages of a partition
_LOOK_S, _TRY_S = 2.0, 1.0


class TopicReader:
    """`trouble`: why no broker answers since `away_since`, seconds since the epoch; `missing`: topics that
    the broker has not; `has_history`: whether what was there at the beginning has been read."""

    def __init__(self, kafka: Kafka, topics: Collection[str]) -> None:
        settings = {
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            "enable.partition.eof": True,
            "reconnect.backoff.max.ms": 1000,
        }
        # a group that nobody joins
        self._consumer = Consumer(
            {**kafka.client, "group.id": "revision-scores-watch", "log_level": 0, **settings}
        )
        self.address, self._topics = kafka.address, topics
        self._assigned: set[tuple[str, int]] = set()
        self._unread: set[tuple[str, int]] = set()  # of those, what has never been read to its end
        self._next_look = 0.0
        self.away_since: float | None = None
        self.trouble = ""
        self.missing: Sequence[str] = ()
        self.has_history = False  # what was there at the beginning has been read

    def follow(self, topics: Collection[str]) -> None:
        """Reads these topics from now on, those that are new from ten minutes ago."""
        self._topics = topics
        left = [key for key in self._assigned if key[0] not in topics]
        self._consumer.incremental_unassign([TopicPartition(*key) for key in left])
        self._assigned.difference_update(left)
        self._unread.difference_update(left)
        self._next_look = 0.0

    def read(self, seconds: float) -> list[Message]:
        """Returns the messages that come within so many seconds."""
        if time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + _LOOK_S
        if not self._assigned:
            time.sleep(seconds)  # there is nothing that could be awaited
            return []
        found = []
        for message in self._consumer.consume(1000, seconds):
            if message.error() is None:
                found.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                self._unread.discard((message.topic(), message.partition()))
        self.has_history = self.has_history or not self._unread
        return found

    def behind(self) -> int:
        """Returns how many messages are unread as of the last fetch."""
        left = 0
        for place in self._consumer.position([TopicPartition(*key) for key in self._assigned]):
            _low, high = self._consumer.get_watermark_offsets(place, cached=True)
            if place.offset >= 0 and high > place.offset:
                left += high - place.offset
        return left

    def close(self) -> None:
        self._consumer.close()

    def _look(self) -> None:
        """Looks whether a broker answers, and for topics and partitions that are new."""
        try:
            found = self._consumer.list_topics(timeout=_TRY_S).topics
            self.missing = [
                topic for topic in self._topics if topic not in found or not found[topic].partitions
            ]
            new = [
                TopicPartition(topic, number)
                for topic in self._topics
                if topic in found
                for number in found[topic].partitions
            ]
            self._assign([place for place in new if (place.topic, place.partition) not in self._assigned])
        except KafkaException as error:
            self.away_since = self.away_since or time.time()
            self.trouble = f"No broker answers at {self.address} ({error.args[0].str()})"
        else:
            self.away_since, self.trouble = None, ""

    def _assign(self, places: Sequence[TopicPartition]) -> None:
        """Reads these too, from ten minutes ago. Raises KafkaException when the broker does not answer."""
        if not places:
            return
        since = round((time.time() - _HISTORY_S) * 1000)
        begun = self._consumer.offsets_for_times(
            [TopicPartition(place.topic, place.partition, since) for place in places], timeout=_TRY_S * 5
        )
        for place in begun:
            _low, high = self._consumer.get_watermark_offsets(place, timeout=_TRY_S * 5)
            place.offset = max(place.offset, high - _MOST_HISTORY) if place.offset >= 0 else high
        self._consumer.incremental_assign(begun)
        new = {(place.topic, place.partition) for place in begun}
        self._assigned |= new
        self._unread |= new
