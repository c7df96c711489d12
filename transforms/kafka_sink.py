"""Events to Kafka: one producer per worker process for all streams, so that a new model changes nothing in the graph or its state."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import apache_beam as beam
import confluent_kafka
import orjson

from transforms.elements import OutputEvent

_SAFE = {"acks": "all", "enable.idempotence": True, "linger.ms": 1, "message.timeout.ms": 0}  # 0: a broker that is away is waited for


_LOGGER = logging.getLogger(__name__)  # else librdkafka writes to stderr


class DeliveryError(RuntimeError):
    """Kafka refused a message for good; the bundle fails and Flink repeats it."""


@dataclass
class KafkaStreams(beam.PTransform):
    """A sink: writes each event to the topic of its datacenter and stream, without a key, and ends a bundle only when all is acknowledged."""

    producer: Mapping[str, str] = field(default_factory=dict)  # librdkafka's settings; bootstrap.servers among them

    def expand(self, events: beam.PCollection[OutputEvent]) -> beam.PCollection[None]:
        return events | "Produce" >> beam.ParDo(_ProduceFn(self.producer))


def topic_of(event: OutputEvent) -> str:
    return f"{event.datacenter}.{event.stream}"


def timestamp_ms(dt: str) -> int:
    """Kafka's timestamp of an event: its `meta.dt`, as EventGate sets it."""
    return round(datetime.fromisoformat(dt.replace("Z", "+00:00")).timestamp() * 1000)


class _ProduceFn(beam.DoFn):
    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = {**_SAFE, **settings}
        self._producer: confluent_kafka.Producer | None = None

    def start_bundle(self) -> None:
        self._produced = 0
        self._reports: list[str] = []  # one per message: empty, or why it was refused; a new list, so that a bundle that failed reports to nobody

    def process(self, event: OutputEvent) -> None:
        if self._producer is None:  # not in setup: most of the failure streams' sinks never write
            self._producer = confluent_kafka.Producer(self._settings, logger=_LOGGER)
        value, timestamp = orjson.dumps(event.body), timestamp_ms(event.body["meta"]["dt"])
        while True:
            try:
                self._producer.produce(topic_of(event), value, timestamp=timestamp, on_delivery=partial(_report, self._reports))
                break
            except BufferError:  # librdkafka's queue is full: the broker is slow or away
                self._producer.poll(0.1)
        self._produced += 1

    def finish_bundle(self) -> None:
        while self._producer and len(self._reports) < self._produced:
            self._producer.poll(0.1)
        refused = [report for report in self._reports if report]
        if refused:
            raise DeliveryError("; ".join(refused[:5]))


def _report(reports: list[str], error: Any, message: Any) -> None:
    reports.append(f"{message.topic()}: {error}" if error else "")
