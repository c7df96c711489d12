"""Events to Kafka: one producer per worker process for all streams, so that a new model changes nothing in the graph or its state."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import confluent_kafka
import orjson
from apache_beam.metrics import Metrics
from confluent_kafka import KafkaError, KafkaException

from transforms.elements import Failure, OutputEvent, ScoreRequest, json_text
from transforms.failures import failed, shortened
from transforms.kafka_properties import client_settings
from transforms.score_events import utc_now
from transforms.written import Written, timestamp_ms

_SAFE = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": 0,  # a broker that is away is waited for
    "delivery.report.only.error": True,
    "queue.buffering.max.kbytes": 65_536,
    "linger.ms": 5,  # the end of a bundle does not wait for it
    "log_level": 3,  # errors; a coordinator that is still loading is none
}
_FLUSH_S = 10
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
_LOGGER = logging.getLogger(__name__)  # else librdkafka writes to stderr


class DeliveryError(RuntimeError):
    """Kafka refused a message for good; the bundle fails and Flink repeats it."""


@dataclass
class KafkaStreams(beam.PTransform):
    """A sink: writes each event to the topic of its datacenter and stream, without a key, and ends a bundle only when all is acknowledged.

    A score too large for its topic becomes a failure; a failure that is too large loses the end of its original.
    """

    brokers: str
    failure_stream: str
    properties: Path | None = None  # Kafka's client properties, which each worker reads for itself
    clock: Callable[[], str] = utc_now

    def expand(self, events: beam.PCollection[OutputEvent]) -> beam.PCollection[None]:
        return events | "Produce" >> beam.ParDo(_ProduceFn(self.brokers, self.failure_stream, self.properties, self.clock))


def topic_of(event: OutputEvent) -> str:
    return f"{event.datacenter}.{event.stream}"


class _ProduceFn(beam.DoFn):
    def __init__(self, brokers: str, failure_stream: str, properties: Path | None, clock: Callable[[], str]) -> None:
        self._brokers, self._failure_stream, self._properties, self._clock = brokers, failure_stream, properties, clock
        self._producer: Any = None
        self._failures = Metrics.counter("WritePerModel", "failures")

    def setup(self) -> None:
        self._written = Written()

    def start_bundle(self) -> None:
        self._refused: list[tuple[OutputEvent, KafkaError]] = []  # a new list, so that a bundle that failed reports to nobody
        self._scored: list[ScoreRequest] = []

    def process(self, event: OutputEvent) -> None:
        if self._producer is None:  # not in setup: most of the failure streams' sinks never write
            self._producer = self._connected()
        self._produce(event)
        if event.request:
            self._scored.append(event.request)

    def finish_bundle(self) -> None:
        """Returns when every message is acknowledged. What is refused is tried once more, if need be by a new producer: the first may be broken."""
        refused = self._undelivered()
        if any(error.code() not in _TOO_LARGE for _, error in refused):
            self._producer = self._connected()
        for event, _ in refused:
            self._produce_alone(event)
        self._written.count(self._scored)

    def _produce_alone(self, event: OutputEvent) -> None:
        """A whole batch is refused for one message in it; alone, each shows what is wrong with it."""
        self._produce(event)
        for _, error in self._undelivered():
            if error.code() not in _TOO_LARGE:
                raise DeliveryError(f"{topic_of(event)}: {error}")
            self._produce_alone(self._smaller(event))

    def _connected(self) -> Any:
        return confluent_kafka.Producer({**_SAFE, **client_settings(self._brokers, self._properties)}, logger=_LOGGER)

    def _produce(self, event: OutputEvent) -> None:
        value, timestamp = orjson.dumps(event.body), timestamp_ms(event.body["meta"]["dt"])  # as EventGate sets it
        while True:
            try:
                self._producer.produce(topic_of(event), value, timestamp=timestamp, on_delivery=partial(_note, self._refused, event))
                return
            except BufferError:  # librdkafka's queue is full: the broker is slow or away
                self._flush(0.1)
            except KafkaException as error:
                self._refused.append((event, error.args[0]))
                return

    def _undelivered(self) -> list[tuple[OutputEvent, KafkaError]]:
        """What Kafka has refused, when it has decided on everything."""
        while self._producer and self._flush(_FLUSH_S):
            pass
        refused, self._refused = self._refused, []
        return refused

    def _flush(self, seconds: float) -> int:
        """How many messages Kafka has not decided on after so many seconds."""
        try:
            left: int = self._producer.flush(seconds)
        except (KafkaException, SystemError):  # confluent-kafka raises a fatal error amid the reports of the messages it costs; each of them is noted
            left = len(self._producer)
        return left

    def _smaller(self, event: OutputEvent) -> OutputEvent:
        """What goes out in the stead of an event that is too large for its topic."""
        if event.request:
            self._failures.inc()
            self._scored.remove(event.request)
            raw, reason = event.request.event.raw, f"{topic_of(event)} takes no message of {len(orjson.dumps(event.body))} bytes"
            return failed(Failure("WritePerModel", reason, json_text(raw), event.datacenter, event.request.model), self._failure_stream, self._clock())
        shorter = shortened(event.body)
        if shorter is None:
            raise DeliveryError(f"{topic_of(event)} takes not even a failure without its original; raise its max.message.bytes")
        return replace(event, body=shorter)


def _note(refused: list[tuple[OutputEvent, KafkaError]], event: OutputEvent, error: KafkaError | None, _message: object) -> None:
    if error:
        refused.append((event, error))
