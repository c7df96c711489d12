"""Events from Kafka, by Beam's KafkaIO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.io.kafka import ReadFromKafka

from transforms.elements import Raw


@dataclass
class KafkaTopics(beam.PTransform):
    """An unbounded source: gives a Raw for each message, with the prefix of its topic (`eqiad.`) as its datacenter."""

    topics: Sequence[str]
    consumer: Mapping[str, str]  # Kafka's own consumer settings; bootstrap.servers and group.id among them
    expansion_service: str  # host:port of a Java expansion service that knows KafkaIO

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Raw]:
        messages = pbegin | "ReadFromKafka" >> ReadFromKafka(
            consumer_config=dict(self.consumer),
            topics=list(self.topics),
            with_metadata=True,
            commit_offset_in_finalize=True,
            expansion_service=self.expansion_service,
        )
        return messages | "TakeMessage" >> beam.Map(raw_of_message)


def raw_of_message(message: Any) -> Raw:
    """What KafkaIO gives for a message, as a Raw; a message without a value is an empty one."""
    return Raw(message.value or b"", message.topic.partition(".")[0])
