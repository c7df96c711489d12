"""Reads one partition of Kafka from a place on."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from transforms.connectors.kafka_offsets import Partition, Place

_OWN = {
    "enable.auto.commit": False,
    "auto.offset.reset": "error",  # where to go on is decided here
    "isolation.level": "read_uncommitted",
    "queued.max.messages.kbytes": 8_192,
    # what the last fetch brought is taken before the next, else there is one for each message
    "queued.min.messages": 1,
    "fetch.queue.backoff.ms": 10,  # the default of a second would bound a backlog to so much a second
    "reconnect.backoff.max.ms": 2_000,
    "log_level": 3,
}
_TIMEOUT_S = 2.0
_TAKEN_AT_ONCE = 100
_PEEK_S = 0.04  # between two looks for a message: what comes in between is read together
_LOOK_AGAIN_S = 1.0
_BEYOND_S = 10.0  # a topic made anew is told of within that time
_LOGGER = logging.getLogger(__name__)


class PartitionReader:
    """Reads from `place` on, which moves with what was taken. `lost` counts messages that Kafka had removed
    before they were read. `settings`: of a client of librdkafka; `group`: its consumer group."""

    def __init__(self, settings: Mapping[str, str], group: str, partition: Partition, place: Place) -> None:
        self.place, self.lost = place, 0
        self._partition = partition
        self._consumer = Consumer({**_OWN, **settings, "group.id": group}, logger=_LOGGER)
        self._here: list[Message] = []
        self._out_of_range = False
        self._next_look, self._beyond_since, self._said = 0.0, 0.0, ""
        self._go_to(place.offset)

    def fetch(self) -> bool:
        """Fetches what Kafka has now, without waiting; returns whether there is something to take."""
        if self._out_of_range and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_AGAIN_S
            self._reposition()
        if not self._here:
            for message in self._consumer.consume(_TAKEN_AT_ONCE, 0):
                if error := message.error():
                    self._on_error(error)
                else:
                    self._here.append(message)
        return bool(self._here)

    def take(self) -> list[Message]:
        """Returns up to 100 messages that are here, and moves the place past them."""
        if not self.fetch():
            return []
        taken, self._here, self._said = self._here, [], ""
        self.place = replace(
            self.place, offset=taken[-1].offset() + 1, time_ms=max(0, taken[-1].timestamp()[1])
        )
        return taken

    def close(self) -> None:
        self._consumer.close()

    def _go_to(self, offset: int | None) -> None:
        self._consumer.assign(
            [TopicPartition(*self._partition, OFFSET_BEGINNING if offset is None else offset)]
        )

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._out_of_range = True
        elif error.str() != self._said:  # librdkafka tries again by itself
            self._said = error.str()
            _LOGGER.warning("%s cannot be read: %s; trying on", self._partition, error.str())

    def _reposition(self) -> None:
        """Moves to the oldest message when Kafka has removed the next one; when the log ends before it, to
        the first that is younger than the last read."""
        try:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(*self._partition), timeout=_TIMEOUT_S
            )
            offset = self._next_offset(low, high)
        except KafkaException as error:
            self._on_error(error.args[0])
            return
        if offset is None:
            return
        self._out_of_range, self._beyond_since, self._here = False, 0.0, []
        self._report_jump(low, high, offset)
        self.place = replace(self.place, offset=offset)
        self._go_to(offset)

    def _next_offset(self, low: int, high: int) -> int | None:
        """Returns where to go on in a log of those bounds; None while the topic may be another one, which is
        not for a reader to decide."""
        offset = self.place.offset
        if offset is None or offset < low:
            return low
        if offset <= high:
            return offset
        self._beyond_since = self._beyond_since or time.monotonic()
        if time.monotonic() - self._beyond_since < _BEYOND_S:
            return None
        (found,) = self._consumer.offsets_for_times(
            [TopicPartition(*self._partition, self.place.time_ms + 1)], timeout=_TIMEOUT_S
        )
        return int(found.offset) if found.offset >= 0 else high

    def _report_jump(self, low: int, high: int, offset: int) -> None:
        before = self.place.offset
        if before is not None and before < low:
            self.lost += low - before
            _LOGGER.warning(
                "%s: %d messages were gone before they were read (%d to %d); going on at the oldest "
                "that is left",
                self._partition,
                low - before,
                before,
                low - 1,
            )
        elif before is not None and before > high:
            _LOGGER.warning(
                "%s: the log ends at %d, before the place %d; going on at %d",
                self._partition,
                high,
                before,
                offset,
            )


def wait_for_any(readers: Collection[PartitionReader], seconds: float) -> None:
    """Returns when one of the readers has messages, after so many seconds at the latest."""
    deadline = time.monotonic() + seconds
    while not any([reader.fetch() for reader in readers]) and time.monotonic() < deadline:
        time.sleep(_PEEK_S)
