"""Events from Kafka: a source whose places lie in Flink's state, and which follows its topics as they are.

Every few seconds `Discover` looks which partitions the topics have and tells each of them in `Read`, under a
key of its own. There a place is kept, and a timer takes what Kafka has from then on. `Commit` writes places
to the consumer group when a checkpoint has them: others see there how far the stream is, and a run without a
snapshot begins there.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import orjson
from apache_beam import coders
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp
from confluent_kafka import Message

from transforms.connectors.kafka_commits import CommitFn
from transforms.connectors.kafka_discovery import INTERVAL_S, DiscoverFn
from transforms.connectors.kafka_offsets import Partition, Place
from transforms.connectors.kafka_security import client_settings
from transforms.connectors.partition_reader import PartitionReader, wait_for_any
from transforms.elements import SourceRecord
from transforms.metrics.bundle_metrics import BundleMetrics

# for a message: a timer that fires costs Flink some milliseconds, and a barrier waits as long at most
_WAIT_S = 0.5
_APART_S = 0.04  # between two polls: a bundle costs both processes milliseconds, however little it reads
_PLACES_KEPT = 64  # in the state of a partition: to clear it is a round trip to Flink more
_LOGGER = logging.getLogger(__name__)


@dataclass
class KafkaTopics(beam.PTransform):
    """Reads topics on Flink, from `start` where its group has no place yet.

    In: nothing: a source.
    Out: SourceRecord, with the prefix of its topic (`eqiad.`) as its datacenter.
    Bounded: unbounded.
    Guarantee: at least once; a new partition, and a topic made anew, is read from its oldest message.
    """

    topics: Sequence[str]
    brokers: str
    group: str
    start: str | int  # earliest, latest, or milliseconds since the epoch
    properties: Path | None = None  # Kafka's client properties, which each worker reads for itself
    adopt: bool = False  # go on with the state of another Kafka

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[SourceRecord]:
        beats = pbegin | "Beat" >> FlinkStreamingImpulseSource().set_interval_ms(
            int(INTERVAL_S * 1000)
        ).set_message_count(0)
        seeds = beats | "Seed" >> beam.Map(lambda _: ("topics", b"")).with_output_types(tuple[str, bytes])
        partitions = seeds | "Discover" >> beam.ParDo(DiscoverFn(self)).with_output_types(tuple[str, bytes])
        reading = beam.ParDo(ReadFn(self))
        reading.label = "Read"
        read = partitions | reading.with_outputs("places", main="messages")
        _ = (
            read.places
            | "OnTheirOwn" >> beam.Reshuffle()
            | "Commit" >> beam.ParDo(CommitFn(self.settings, self.group))
        )
        return read.messages

    def settings(self) -> Mapping[str, str]:
        """Returns the settings of a client of librdkafka. Raises what `client_settings` raises."""
        return client_settings(self.brokers, self.properties)


def raw_of_message(message: Message) -> SourceRecord:
    """Returns a message as a SourceRecord; one without a value is an empty one."""
    return SourceRecord(message.value() or b"", message.topic().partition(".")[0])


class ReadFn(beam.DoFn):
    """Reads partitions, each under its own key.

    The state holds the place, behind those before it. The timer's tag names it, so that a reader that stands
    there need not read the state, and an older timer is recognised. Nothing is read before `Discover` has
    said which topic is there: after a restart the place may be one in a topic that is gone.
    """

    # by group and partition, the id of the topic that is there, in this process
    _told: ClassVar[dict[str, str]] = {}

    PLACE = BagStateSpec("place", coders.BytesCoder())
    POLL = TimerSpec("poll", TimeDomain.REAL_TIME)

    def __init__(self, source: KafkaTopics) -> None:
        self._source = source
        self._lost = Metrics.counter("ReadEvents", "lost_expired")
        self._anew = Metrics.counter("ReadEvents", "topics_made_anew")

    def setup(self) -> None:
        self._readers: dict[str, PartitionReader] = {}
        self._saved: Counter[str] = Counter()  # by partition, how many places this instance has written
        self._metrics = BundleMetrics(self._lost, self._anew)

    def start_bundle(self) -> None:
        self._metrics.start_bundle()
        self._waited = False
        self._next_poll = time.time() + _APART_S

    def teardown(self) -> None:
        for reader in self._readers.values():
            reader.close()

    def process(
        self,
        element: tuple[str, bytes],
        place: Any = beam.DoFn.StateParam(PLACE),
        poll: Any = beam.DoFn.TimerParam(POLL),
    ) -> Iterator[TaggedOutput]:
        key, there = element[0], Place.decode(element[1])
        before = Place.last_of(place.read())
        now = self._reconcile(key, before, there)
        self._told[self._name(key)] = there.topic_id
        if now != before:
            place.clear()
            place.add(now.encode())
        poll.set(Timestamp.of(time.time()), dynamic_timer_tag=now.name)
        if now.offset is not None:
            yield TaggedOutput("places", orjson.dumps([*Partition.of(key), now.offset]))

    def _reconcile(self, key: str, before: Place | None, there: Place) -> Place:
        """Returns where to read a partition whose topic is now the one of `there`; counts a topic that was
        made anew."""
        if before is None:
            return there
        if before.is_in_another_topic(there):
            self._anew.inc()
            begins = "its oldest message" if there.offset is None else there.offset
            _LOGGER.warning("%s was made anew; reading it from %s", key, begins)
            return there
        return before if before.topic_id == there.topic_id else replace(before, topic_id=there.topic_id)

    @on_timer(POLL)
    def poll(
        self,
        key: str = beam.DoFn.KeyParam,
        tag: str = beam.DoFn.DynamicTimerTagParam,
        place: Any = beam.DoFn.StateParam(PLACE),
        poll: Any = beam.DoFn.TimerParam(POLL),
    ) -> Iterator[SourceRecord]:
        reader = self._reader_at(key, tag, place)
        if reader is None:
            return
        # what the bundle has read so far goes on when the bundle ends
        if not self._waited:
            wait_for_any(self._readers.values(), _WAIT_S)
            self._waited = True
        messages = reader.take()
        if reader.lost:
            self._lost.inc(reader.lost)
            reader.lost = 0
        if reader.place.name != tag:
            self._save(key, reader.place, place)
        # of all partitions at once, so that one bundle reads them
        poll.set(Timestamp.of(max(time.time(), self._next_poll)), dynamic_timer_tag=reader.place.name)
        yield from map(raw_of_message, messages)

    def _save(self, key: str, value: Place, place: Any) -> None:
        if self._saved[key] % _PLACES_KEPT == 0:
            place.clear()
        place.add(value.encode())
        self._saved[key] += 1

    def _reader_at(self, key: str, tag: str, place: Any) -> PartitionReader | None:
        """Returns the reader that stands at the place that the timer names, a new one where there is none;
        None when the timer is an older one, or its topic is not the one that is there, or no longer read."""
        there, reader = self._told.get(self._name(key)), self._readers.get(key)
        if reader is not None and reader.place.name == tag and reader.place.topic_id == there:
            return reader
        partition, stored = Partition.of(key), Place.last_of(place.read())
        is_read = partition.topic in self._source.topics
        if stored is None or stored.name != tag or stored.topic_id != there or not is_read:
            return None
        if reader is not None:
            self._readers.pop(key).close()
        _LOGGER.info("%s is read from %s", key, tag)
        reader = self._readers[key] = PartitionReader(
            self._source.settings(), self._source.group, partition, stored
        )
        return reader

    def _name(self, key: str) -> str:
        return f"{self._source.group} {key}"
