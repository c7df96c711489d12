"""Events on their way to their streams, without Beam: a transport sends them and reports what became of each,
as Kafka (`kafka_producers.py`) and EventGate (`eventgate_posts.py`) do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from transforms.elements import OutputEvent


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
        """Notes what became of the event; None: it is delivered. The first time counts."""
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
        """Takes what is undecided for refused, though the stream may still get it."""


class Transport(Protocol):
    """A connection of a worker process to where streams are."""

    def outbox(self, stream: str) -> Outbox:
        """Returns a new one."""

    def answers(self) -> bool:
        """Returns whether anybody is there, whatever a single stream does, within half a second."""


def stream_of(event: OutputEvent) -> str:
    """Returns the name under which a stream is known here, which is that of its topic."""
    return f"{event.datacenter}.{event.stream}"


def is_decided(outbox: Outbox) -> bool:
    return all(delivery.decided_at is not None for delivery in outbox.deliveries)


def undelivered(outbox: Outbox) -> list[Delivery]:
    return [delivery for delivery in outbox.deliveries if not delivery.is_delivered]
