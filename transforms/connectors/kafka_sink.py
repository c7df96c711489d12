"""Events to Kafka: each to the topic of its datacenter and stream, so that a new model changes nothing in the
graph or its state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from transforms.connectors.kafka_producers import KafkaProducers, NewProducer
from transforms.connectors.kafka_security import client_settings
from transforms.delivery.write_streams import WriteFn, Writing
from transforms.elements import OutputEvent
from transforms.events.score_events import utc_now
from transforms.worker.environment import REAL, Environment


@dataclass(frozen=True)
class Brokers:
    """A Destination: brokers, HOST:PORT with commas between, and Kafka's client properties, which each worker
    reads for itself."""

    address: str
    properties: Path | None = None
    new_producer: NewProducer | None = None  # None: confluent_kafka.Producer

    def open(self, environment: Environment) -> KafkaProducers:
        return KafkaProducers(client_settings(self.address, self.properties), self.new_producer, environment)


@dataclass
class WriteToKafka(beam.PTransform):
    """Writes each event to its topic, without a key.

    In: OutputEvent.
    Out: what is not taken, for RetryDeliveries, with `waits_in_state`; else nothing.
    Bounded: either.
    Guarantee: at least once: a bundle ends when each event is acknowledged, or among what comes out, or,
        where nothing comes out, DeliveryError is raised; a score too large for its topic becomes a failure,
        and a failure too large loses the end of its original.
    """

    brokers: str
    failure_stream: str
    properties: Path | None = None
    clock: Callable[[], str] = utc_now
    waits_in_state: bool = False
    new_producer: NewProducer | None = None
    environment: Environment = REAL

    @property
    def writing(self) -> Writing:
        return Writing(
            Brokers(self.brokers, self.properties, self.new_producer),
            self.failure_stream,
            self.clock,
            self.environment,
        )

    def expand(self, events: beam.PCollection[OutputEvent]) -> beam.PCollection[tuple[str, bytes]]:
        return events | "Produce" >> beam.ParDo(
            WriteFn(self.writing, waits_in_bundle=not self.waits_in_state)
        ).with_output_types(tuple[str, bytes])
