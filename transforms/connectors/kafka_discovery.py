"""Which partitions the topics of a source have, and where a reader begins that has no place yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import orjson
from apache_beam import coders
from apache_beam.transforms.userstate import BagStateSpec
from confluent_kafka import KafkaException

from transforms.connectors.kafka_offsets import KafkaPlaces, Partition, Place

if TYPE_CHECKING:
    from transforms.connectors.kafka_source import KafkaTopics

INTERVAL_S = 5.0  # between two looks
_LOGGER = logging.getLogger(__name__)


class DiscoverFn(beam.DoFn):
    """Sends each partition of the topics the place where a reader that has none begins.

    The state holds which Kafka that place is of.
    """

    BEGUN = BagStateSpec("begun", coders.BytesCoder())

    def __init__(self, source: KafkaTopics) -> None:
        self._source = source

    def setup(self) -> None:
        self._kafka: KafkaPlaces | None = None
        self._looked, self._said = 0.0, ""

    def process(
        self, _: tuple[str, bytes], begun: Any = beam.DoFn.StateParam(BEGUN)
    ) -> Iterator[tuple[str, bytes]]:
        if time.monotonic() - self._looked < INTERVAL_S / 2:  # another subtask's beat
            return
        try:
            self._kafka = self._kafka or KafkaPlaces(self._source.settings(), self._source.group)
            places = self._places(self._kafka, begun)
        except KafkaException as error:
            self._say_once(
                f"Kafka does not say which partitions there are: {error.args[0].str()}; looking again in "
                f"{INTERVAL_S:g} s"
            )
            return
        self._looked = time.monotonic()
        absent = sorted(set(self._source.topics) - {partition.topic for partition in places})
        self._say_once(f"no topic {', '.join(absent)} is there to be read" if absent else "")
        for partition, place in places.items():
            yield str(partition), place.encode()

    def _places(self, kafka: KafkaPlaces, begun: Any) -> Mapping[Partition, Place]:
        places = kafka.oldest(self._source.topics)
        if not places:
            return {}
        (cluster_id,) = {place.cluster_id for place in places.values()}
        known = [orjson.loads(each)["cluster_id"] for each in begun.read()]
        if known == [cluster_id]:
            return places
        if known and not self._source.adopt:
            raise RuntimeError(
                f"the state is of Kafka {known[0]}, and at {self._source.brokers} is Kafka {cluster_id}; "
                "name the one it is of, or another --state"
            )
        places = kafka.starting(places, self._source.start)
        kafka.commit(places)
        begun.clear()
        begun.add(orjson.dumps({"cluster_id": cluster_id}))
        return places

    def _say_once(self, text: str) -> None:
        if text and text != self._said:
            _LOGGER.warning("%s", text)
        self._said = text
