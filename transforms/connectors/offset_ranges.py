"""What Kafka topics hold now, read from one offset to another and no further."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

_LONGEST_PAUSE_MS = 24 * 3600 * 1000  # between two reads, while Lift Wing is asked
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The messages of one partition from offset `begin` to before `end`."""

    topic: str
    partition: int
    begin: int
    end: int


def offset_ranges(
    settings: Mapping[str, str], topics: Sequence[str], since_ms: int | None = None
) -> list[OffsetRange]:
    """Returns the ranges of what the topics hold now, of the messages not older than `since_ms`, in
    milliseconds since the epoch, where that is given; none for an empty partition. Raises KafkaException."""
    with closing(_consumer(settings)) as consumer:
        held = [
            _held(consumer, TopicPartition(topic, partition))
            for topic in dict.fromkeys(topics)
            for partition in consumer.list_topics(topic, _TIMEOUT_S).topics[topic].partitions
        ]
        wanted = held if since_ms is None else _since(consumer, held, since_ms)
    return [each for each in wanted if each.begin < each.end]


def _held(consumer: Consumer, partition: TopicPartition) -> OffsetRange:
    low, high = consumer.get_watermark_offsets(partition, _TIMEOUT_S)
    return OffsetRange(partition.topic, partition.partition, low, high)


def _since(consumer: Consumer, held: Sequence[OffsetRange], since_ms: int) -> list[OffsetRange]:
    """Returns the ranges without what is older than that."""
    asked = [TopicPartition(each.topic, each.partition, since_ms) for each in held]
    begins = {
        (found.topic, found.partition): found.offset
        for found in consumer.offsets_for_times(asked, _TIMEOUT_S)
    }
    return [
        replace(each, begin=begin if begin >= 0 else each.end)
        for each in held
        for begin in [begins[each.topic, each.partition]]
    ]


def messages(settings: Mapping[str, str], ranges: Sequence[OffsetRange]) -> Iterator[Message]:
    """Yields the messages of the ranges. Waits for a broker that is away. Raises KafkaException for any other
    error."""
    with closing(_consumer(settings)) as consumer:
        ends = {(each.topic, each.partition): each.end for each in ranges}
        consumer.assign([TopicPartition(each.topic, each.partition, each.begin) for each in ranges])
        while ends:
            for message in consumer.consume(500, 1.0):
                place = message.topic(), message.partition()
                error = message.error()
                if error and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if not error and message.offset() < ends.get(place, 0):
                    yield message
                # where the end is deleted or a mark of a transaction, the end of the partition tells
                if message.offset() >= ends.get(place, 0) - 1:
                    ends.pop(place, None)


def _consumer(settings: Mapping[str, str]) -> Consumer:
    own = {
        "group.id": "revision-scores-replay",  # librdkafka wants one; nothing is committed
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "max.poll.interval.ms": _LONGEST_PAUSE_MS,
        "queued.max.messages.kbytes": 16_384,
        "log_level": 0,
        "error_cb": lambda error: None,  # a broker that is away
    }
    return Consumer({**settings, **own})
