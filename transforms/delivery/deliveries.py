"""How events get to their streams, without Beam: what a worker process knows of each stream, and how long a
bundle waits for one.

A transport sends events and reports what became of each: Kafka (`kafka_producers.py`) or EventGate
(`eventgate_posts.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from transforms.delivery.stream_health import StreamHealth
from transforms.elements import OutputEvent
from transforms.environment import REAL, Environment

_AWAY_PAUSE_S = 1.0
# that the first events to a stream may take longer: who writes there has to connect, and be let in
_BEGINNING_S = 1.0
_SETTLING_S = 5.0  # how long who was away and answers again is left to acknowledge
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a stream did not take an event."""

    reason: str
    # it is the event's fault, or that of one that was sent with it, and says nothing of the stream
    of_event: bool = False
    answered: bool = False  # who said so is where events are written: a broker, an EventGate


@dataclass(eq=False, slots=True)
class Delivery:
    """An event on its way."""

    event: OutputEvent
    value: bytes
    sent_at: float  # seconds of a monotonic clock, as is the next
    decided_at: float | None = None
    refusal: Refusal | None = None
    alone: bool = False  # nothing else can be the reason of its refusal

    @property
    def is_delivered(self) -> bool:
        return self.decided_at is not None and self.refusal is None

    @property
    def is_invalid(self) -> bool:
        """Whether no other try can help."""
        return self.alone and self.refusal is not None and self.refusal.of_event

    def decide(self, now: float, refusal: Refusal | None) -> None:
        if self.decided_at is None:
            self.decided_at, self.refusal = now, refusal


class Outbox(Protocol):
    """Events of one stream that are sent together. Only its owner calls it; others may wait for the same
    stream meanwhile."""

    deliveries: list[Delivery]

    def put(self, event: OutputEvent, value: bytes) -> None:
        """Sends an event, or keeps it until `send`."""

    def send(self) -> None:
        """Sends what was kept."""

    def wait(self, seconds: float) -> None:
        """Returns when everything is decided, after so many seconds at the latest."""

    def send_again(self, *, alone: bool = False) -> None:
        """Sends what was refused once more, if need be each event `alone`, so that it shows what is wrong
        with it."""

    def abandon(self) -> None:
        """Gives up what is undecided: it is refused, though the stream may still get it."""


class Transport(Protocol):
    """A connection of a worker process to where streams are."""

    def outbox(self, stream: str) -> Outbox:
        """A new one."""

    def answers(self) -> bool:
        """Whether anybody is there, whatever a single stream does. Takes half a second at most."""


def stream_of(event: OutputEvent) -> str:
    """The name under which a stream is known here, which is that of its topic."""
    return f"{event.datacenter}.{event.stream}"


def is_decided(outbox: Outbox) -> bool:
    return all(delivery.decided_at is not None for delivery in outbox.deliveries)


def undelivered(outbox: Outbox) -> list[Delivery]:
    return [delivery for delivery in outbox.deliveries if not delivery.is_delivered]


class Streams:
    """What a worker process knows of the streams that it writes to, for all its DoFns."""

    def __init__(self, transport: Transport, environment: Environment = REAL) -> None:
        self.transport, self.environment = transport, environment
        self._health: dict[str, StreamHealth] = {}

    def health(self, stream: str) -> StreamHealth:
        return self._health.get(stream) or self._health.setdefault(stream, StreamHealth())

    def is_failing(self, stream: str) -> bool:
        return self.health(stream).is_failing(self.environment.monotonic())

    def failing(self) -> dict[str, bool]:
        """Whether it is failing, of each stream that ever was."""
        now = self.environment.monotonic()
        return {
            stream: health.is_failing(now)
            for stream, health in list(self._health.items())
            if health.failing_since is not None
        }

    def hold(self, outboxes: Mapping[str, Outbox], seconds: float) -> None:
        """Waits for what was sent to several streams. Returns when all is delivered, or when some of it is
        not after so many seconds though other streams take events, or somebody is there at least; the first
        events to a stream have a moment more. As long as nobody is there, it waits."""
        for outbox in outboxes.values():
            outbox.send()
        new = [outbox for stream, outbox in outboxes.items() if self.health(stream).is_new]
        self._wait(outboxes.values(), seconds)
        self._wait(new, _BEGINNING_S)
        for stream, outbox in outboxes.items():
            self.note_acknowledged(stream, outbox)
        late = {stream: outbox for stream, outbox in outboxes.items() if _failed(outbox)}
        if not late:
            return
        if not self._somebody_answered(late):
            self._wait_until_somebody_answers(list(late.values()))
        self._wait(late.values(), 0.0)  # what came meanwhile
        for stream, outbox in late.items():
            self.note_acknowledged(stream, outbox)
            self.note_failed(stream, outbox)

    def note_acknowledged(self, stream: str, outbox: Outbox) -> None:
        health = self.health(stream)
        for delivery in outbox.deliveries:
            if delivery.decided_at is not None and delivery.refusal is None:
                if not health.acknowledges:
                    _LOGGER.warning("%s takes events again", stream)
                health.acknowledged(delivery.decided_at, delivery.decided_at - delivery.sent_at)

    def note_failed(self, stream: str, outbox: Outbox) -> None:
        """Notes that a stream takes nothing, unless that was the fault of single events, and gives up what is
        undecided."""
        failed = _failed(outbox)
        partly = all(delivery.refusal for delivery in failed) and any(
            delivery.is_delivered for delivery in outbox.deliveries
        )
        if not failed or partly:
            return
        reason = next(
            (delivery.refusal.reason for delivery in failed if delivery.refusal), "no acknowledgement"
        )
        health, now = self.health(stream), self.environment.monotonic()
        if not health.is_failing(now):
            _LOGGER.warning("%s takes no events: %s", stream, reason)
        health.failed(now, reason)
        outbox.abandon()

    def _somebody_answered(self, late: Mapping[str, Outbox]) -> bool:
        failed = [delivery for outbox in late.values() for delivery in _failed(outbox)]
        since = min(delivery.sent_at for delivery in failed)
        return any(delivery.refusal and delivery.refusal.answered for delivery in failed) or any(
            health.acknowledged_at >= since for health in list(self._health.values())
        )

    def _wait_until_somebody_answers(self, late: Sequence[Outbox]) -> None:
        if self.transport.answers():
            return
        _LOGGER.warning("nobody answers where events are written; waiting for that")
        while not self.transport.answers():
            began = self.environment.monotonic()
            self._wait(late, _AWAY_PAUSE_S)
            if not any(map(_failed, late)):
                return
            # what is refused is not waited for
            self.environment.sleep(max(0.0, began + _AWAY_PAUSE_S - self.environment.monotonic()))
        for outbox in late:
            outbox.send_again()
        self._wait(late, _SETTLING_S)

    def _wait(self, outboxes: Iterable[Outbox], seconds: float) -> None:
        end = self.environment.monotonic() + seconds
        for outbox in outboxes:
            outbox.wait(max(0.0, end - self.environment.monotonic()))


def _failed(outbox: Outbox) -> list[Delivery]:
    """What is not delivered and says something of the stream."""
    return [
        delivery
        for delivery in undelivered(outbox)
        if delivery.refusal is None or not delivery.refusal.of_event
    ]
