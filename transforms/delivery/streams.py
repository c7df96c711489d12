"""What a worker process knows of the streams that it writes to, without Beam, and how long a bundle waits for
them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from transforms.delivery.deliveries import Delivery, Outbox, Transport, undelivered
from transforms.delivery.stream_health import StreamHealth
from transforms.worker.environment import REAL, Environment

_AWAY_PAUSE_S = 1.0
# how much longer the first events to a stream may take: who writes there has to connect, and be let in
_BEGINNING_S = 1.0
_SETTLING_S = 5.0  # how long who was away and answers again is left to acknowledge
_LOGGER = logging.getLogger(__name__)


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
        """Returns whether it is failing now, by stream, for each that ever was."""
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
        """Notes what a stream has acknowledged."""
        health = self.health(stream)
        for delivery in outbox.deliveries:
            if delivery.decided_at is not None and delivery.refusal is None:
                if not health.acknowledges:
                    _LOGGER.warning("%s takes events again", stream)
                health.on_acknowledged(delivery.decided_at, delivery.decided_at - delivery.sent_at)

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
        health.on_failure(now, reason)
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
    """Returns what is not delivered and says something of the stream."""
    return [
        delivery
        for delivery in undelivered(outbox)
        if delivery.refusal is None or not delivery.refusal.of_event
    ]
