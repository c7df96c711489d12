"""Kafka by its contract, as far as a producer sees it: it acknowledges, delays, refuses, or forgets who the
producer is.

A producer is one connection to the model; a message that its client gave up may be written all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from tests.simulator.clock import Clock, Thread

Delivered = Callable[[KafkaError | None, Any], None]


@dataclass(frozen=True)
class Trouble:
    """What the broker does for a while: `away` (it answers when it is back), `slow`, `refuses` (every
    message), `forgets` (who a producer is, once)."""

    what: str
    begins: float
    ends: float
    topic: str = ""  # the only one; empty: all


class Broker:
    """Keeps what is written, and hands it to `written` as it comes."""

    def __init__(
        self,
        clock: Clock,
        random: Random,
        written: Callable[[str, bytes], None],
        troubles: Sequence[Trouble] = (),
    ) -> None:
        self.clock, self.random, self.written, self.troubles = clock, random, written, troubles

    def trouble(self, topic: str) -> Trouble | None:
        return next(
            (
                each
                for each in self.troubles
                if each.begins <= self.clock.now < each.ends and each.topic in ("", topic)
            ),
            None,
        )

    def seconds_to_answer(self, topic: str) -> float:
        trouble = self.trouble(topic)
        away = trouble.ends - self.clock.now if trouble and trouble.what == "away" else 0.0
        return away + self.random.uniform(0.001, 1.5 if trouble and trouble.what == "slow" else 0.015)


@dataclass
class _Message:
    topic: str
    value: bytes
    on_delivery: Delivered
    is_decided: bool = False


class Producer:
    """confluent_kafka's, with the methods that the sink calls. `current` is the thread that calls."""

    def __init__(self, broker: Broker, current: Callable[[], Thread]) -> None:
        self._broker, self._current = broker, current
        self._open: deque[_Message] = deque()
        self._reports: deque[tuple[_Message, KafkaError | None]] = deque()
        self._is_dead = False
        self._fatal = False
        self._waiting: Thread | None = None
        self._forgotten: set[Trouble] = set()

    def __len__(self) -> int:
        return len(self._open) + len(self._reports)

    def produce(
        self, topic: str, value: bytes, timestamp: int = 0, on_delivery: Delivered = lambda *_: None, **_: Any
    ) -> None:
        if self._fatal:
            raise KafkaException(KafkaError(KafkaError._FATAL, "the producer is fenced"))
        message = _Message(topic, value, on_delivery)
        self._open.append(message)
        self._broker.clock.after(
            self._broker.seconds_to_answer(message.topic), partial(self._decide, message)
        )

    def poll(self, seconds: float = 0.0) -> int:
        if not self._reports and seconds:
            self._wait(seconds)
        return self._report()

    def flush(self, seconds: float = -1.0) -> int:
        ends = self._broker.clock.now + seconds
        self._report()
        while self._open and self._broker.clock.now < ends:
            self._wait(ends - self._broker.clock.now)
            self._report()
        return len(self)

    def purge(self) -> None:
        """Gives up what is open, though some of it is written."""
        for message in [*self._open]:
            if self._broker.random.random() < 0.5:
                self._broker.written(message.topic, message.value)
            self._end(message, KafkaError(KafkaError._PURGE_INFLIGHT, "purged"))

    def list_topics(self, topic: str | None = None, timeout: float = -1.0) -> None:
        """Raises KafkaException when nobody answers in time."""
        self._current().sleep(self._broker.random.uniform(0.001, 0.01))
        trouble = self._broker.trouble("")
        if trouble and trouble.what == "away":
            self._current().sleep(timeout)
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "nobody answers"))

    def kill(self) -> None:
        """The process is gone: what was on its way may be written, and nobody hears of it."""
        self._is_dead = True
        for message in self._open:
            if self._broker.random.random() < 0.5:
                self._broker.written(message.topic, message.value)
        self._open.clear()

    def _wait(self, seconds: float) -> None:
        self._waiting = self._current()
        self._waiting.wait(seconds)
        self._waiting = None

    def _decide(self, message: _Message) -> None:
        if self._is_dead or message.is_decided:
            return
        trouble = self._broker.trouble(message.topic)
        if trouble and trouble.what == "away":
            self._broker.clock.after(
                self._broker.seconds_to_answer(message.topic), partial(self._decide, message)
            )
            return
        if trouble and trouble.what == "forgets" and trouble not in self._forgotten:
            self._forget(trouble)
            return
        self._end(
            message,
            KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "not now")
            if trouble and trouble.what == "refuses"
            else None,
        )

    def _forget(self, trouble: Trouble) -> None:
        """A fatal error: all that is open fails, though it may be written."""
        self._forgotten.add(trouble)
        self._fatal = True
        for message in [*self._open]:
            if self._broker.random.random() < 0.3:
                self._broker.written(message.topic, message.value)
            self._end(message, KafkaError(KafkaError._FATAL, "out of order sequence number"))

    def _end(self, message: _Message, error: KafkaError | None) -> None:
        message.is_decided = True
        self._open.remove(message)
        if error is None:
            self._broker.written(message.topic, message.value)
        self._reports.append((message, error))
        if self._waiting and not self._open:
            self._waiting.wake()

    def _report(self) -> int:
        reports = len(self._reports)
        while self._reports:
            message, error = self._reports.popleft()
            message.on_delivery(error, message)
        return reports
