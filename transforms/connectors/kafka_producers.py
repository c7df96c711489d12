"""Events to Kafka: a producer for each topic, so that one that does not answer, or breaks a producer, delays
no other."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from transforms.delivery.deliveries import Delivery, Refusal
from transforms.delivery.sink_metrics import timestamp_ms
from transforms.elements import OutputEvent
from transforms.events.tracing import output_headers
from transforms.worker.environment import REAL, Environment

_SAFE = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": 0,  # whoever waits decides for how long
    "queue.buffering.max.kbytes": 65_536,
    # the end of a bundle does not wait for it; librdkafka spins while it may send no more and this is over
    "linger.ms": 50,
    "reconnect.backoff.max.ms": 1_000,
    "log_level": 3,  # errors; a coordinator that is still loading is none
}
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
_ANSWER_S = 0.5
# producers that are connected before a topic needs one, and how old one is that surely is
_READY, _CONNECTED_S = 3, 1.0
_SHORTEST_WAIT_S = 0.001  # below that a wait is over, whatever a clock adds up to
_LOOK_S = 0.02  # others may be served what we wait for
_FULL_S = 1.0  # that a queue may be full
_ALONE_S = 2.0  # for all that is sent alone
_LOGGER = logging.getLogger(__name__)  # else librdkafka writes to stderr

NewProducer = Callable[..., Any]  # confluent_kafka.Producer, or what a simulation has in its place


class KafkaProducers:
    """A Transport to Kafka. May be used from several threads."""

    def __init__(
        self,
        settings: Mapping[str, str],
        new_producer: NewProducer | None = None,
        environment: Environment = REAL,
    ) -> None:
        self._settings, self.environment = settings, environment
        self._new_producer = new_producer or confluent_kafka.Producer
        self._lock = threading.Lock()
        self._producers: dict[tuple[str, bool], Any] = {}
        self._ready = deque(self._made() for _ in range(_READY))  # with when each was made, oldest first

    def outbox(self, stream: str) -> KafkaOutbox:
        return KafkaOutbox(stream, self)

    def answers(self) -> bool:
        """Returns whether a broker answers. Asks with a new client, which takes none for reachable that no
        longer is."""
        try:
            self._new_producer(
                {**self._settings, "enable.sparse.connections": False, "log_level": 0}, logger=_LOGGER
            ).list_topics(timeout=_ANSWER_S)
        except KafkaException:
            return False
        return True

    def of_topic(self, topic: str, *, alone: bool = False) -> Any:
        """Returns the producer of a topic; `alone`: one that puts no two events in a batch."""
        with self._lock:
            producer = self._producers.get((topic, alone))
            if producer is not None:
                return producer
            if alone:
                producer, made_at = self._made({"batch.num.messages": 1})
            else:
                self._ready.append(self._made())
                producer, made_at = self._ready.popleft()
            self._producers[topic, alone] = producer
        # an idempotent producer that is given a message before it is connected sends it half a second later;
        # where nobody answers now, the stream says so when the message is not acknowledged
        if self.environment.monotonic() < made_at + _CONNECTED_S:
            with suppress(KafkaException):
                producer.list_topics(topic, timeout=_ANSWER_S)
        return producer

    def _made(self, own: Mapping[str, Any] | None = None) -> tuple[Any, float]:
        """Returns a new producer, which connects by itself, and when it was made."""
        producer = self._new_producer({**_SAFE, **self._settings, **(own or {})}, logger=_LOGGER)
        return producer, self.environment.monotonic()

    def drop(self, topic: str) -> None:
        """Refuses what is undecided in the producers of a topic, which may be broken, and has the next event
        sent by a new one."""
        with self._lock:
            dropped = [self._producers.pop((topic, alone), None) for alone in (False, True)]
        for producer in filter(None, dropped):
            producer.purge()
            _serve(producer, 0.0)

    def close(self) -> None:
        with self._lock:
            self._producers.clear()
            self._ready.clear()


class KafkaOutbox:
    """An Outbox of a topic."""

    def __init__(self, topic: str, producers: KafkaProducers) -> None:
        self.deliveries: list[Delivery] = []
        self._topic, self._producers, self._clock = topic, producers, producers.environment.monotonic

    def put(self, event: OutputEvent, value: bytes) -> None:
        delivery = Delivery(event, value, self._clock())
        self.deliveries.append(delivery)
        self._produce(delivery)

    def send(self) -> None:
        """Producers send by themselves."""

    def wait(self, seconds: float) -> None:
        self._wait(self.deliveries, seconds)

    def send_again(self, *, alone: bool = False) -> None:
        end = self._clock() + _ALONE_S
        for delivery in self.deliveries:
            if delivery.refusal and not delivery.is_invalid and (not alone or self._clock() < end):
                delivery.decided_at, delivery.refusal, delivery.alone = None, None, alone
                self._produce(delivery)
                if alone:
                    self._wait([delivery], end - self._clock())

    def abandon(self) -> None:
        self._producers.drop(self._topic)
        for delivery in self.deliveries:
            delivery.decide(self._clock(), Refusal("no acknowledgement"))

    def _produce(self, delivery: Delivery) -> None:
        end = self._clock() + _FULL_S
        while True:
            producer = self._producers.of_topic(self._topic, alone=delivery.alone)
            try:
                producer.produce(
                    self._topic,
                    delivery.value,
                    headers=output_headers(delivery.event),
                    timestamp=timestamp_ms(delivery.event.body["meta"]["dt"]),  # that EventGate sets, too
                    on_delivery=partial(self._decide, delivery),
                )
                return
            except BufferError:
                if self._clock() > end:
                    delivery.decide(self._clock(), Refusal("too many of its events are unacknowledged"))
                    return
                _serve(producer, 0.1)
            except KafkaException as error:
                delivery.alone |= error.args[0].code() in _TOO_LARGE  # for librdkafka itself
                self._decide(delivery, error.args[0], None)
                return

    def _decide(self, delivery: Delivery, error: KafkaError | None, _message: object) -> None:
        refusal = None
        if error is not None:
            too_large = error.code() in _TOO_LARGE
            refusal = Refusal(
                f"{self._topic} takes no message of {len(delivery.value)} bytes"
                if too_large
                else error.str(),
                too_large,
                error.code() > 0,
            )
        delivery.decide(self._clock(), refusal)

    def _wait(self, deliveries: list[Delivery], seconds: float) -> None:
        end = self._clock() + seconds
        while undecided := [delivery for delivery in deliveries if delivery.decided_at is None]:
            left = end - self._clock()
            pause = max(0.0, min(left, _LOOK_S))
            producer = self._producers.of_topic(self._topic, alone=undecided[0].alone)
            if len(producer):
                _serve(producer, pause)
            else:  # the one that has them was dropped: another outbox tells of them
                self._producers.environment.sleep(pause)
            if left < _SHORTEST_WAIT_S:
                return


def _serve(producer: Any, seconds: float) -> None:
    """Sends what is queued, and has the decisions that are there reported."""
    # confluent-kafka raises a fatal error amid the reports of the messages it costs; each of them is told
    with suppress(KafkaException, SystemError):
        producer.flush(seconds)
