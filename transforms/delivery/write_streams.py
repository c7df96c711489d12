"""Writes events as they come; a bundle ends when each is acknowledged or on its way elsewhere.

There is no state and no shuffle on this way. What a stream does not take leaves the sink, to wait in state
(`retry_deliveries.py`); where nothing can wait, as in a batch run, it is tried again in the bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import apache_beam as beam
import orjson
from apache_beam.utils.windowed_value import WindowedValue

from transforms.delivery.deliveries import Outbox, Transport, stream_of, undelivered
from transforms.delivery.redelivery import Redelivery, failure_of, name_of
from transforms.delivery.sink_metrics import SinkMetrics
from transforms.delivery.streams import Streams
from transforms.delivery.undelivered_codec import encode_events
from transforms.elements import OutputEvent, ScoreRequest
from transforms.metrics.bundle_metrics import BundleMetrics
from transforms.worker.environment import REAL, Environment
from transforms.worker.global_window import in_global_window
from transforms.worker.shared import SHARED
from transforms.worker.unforeseen import Fused

_HOLD_S = 1.0  # how long a bundle waits for a stream while others are acknowledged
_HOLD_IN_BUNDLE_S = 20.0  # where there is nowhere else to wait
# how many events wait under one key of state, and for how long others may come to it
_UNDER_A_KEY, _KEY_S = 100, 10.0
_FRUITLESS = 3  # tries after which a run that cannot wait ends
_PAUSE_S = 0.5


class DeliveryError(RuntimeError):
    """A stream refuses events of a run in which they cannot wait."""


class Destination(Protocol):
    """Where streams are: an address with what else it takes to write there."""

    def open(self, environment: Environment) -> Transport:
        """Returns a new connection of a worker process."""


@dataclass(frozen=True)
class Writing:
    """How to write to a destination."""

    destination: Destination
    failure_stream: str
    clock: Callable[[], str]  # time as events have it
    environment: Environment = REAL


def streams_of(writing: Writing) -> Streams:
    """Returns what this process knows of the streams of a destination, and its connection to them. They live
    as long as the process: Beam tears down a DoFn that is idle for a minute, and a stream's health outlasts
    that."""
    return SHARED.acquire(_opened, writing.destination, writing.environment)


def _opened(destination: Destination, environment: Environment) -> Streams:
    return Streams(destination.open(environment), environment)


class WriteFn(beam.DoFn):
    """Writes events, and emits those that their streams did not take, under keys of state. With
    `waits_in_bundle` it emits none, and raises DeliveryError instead."""

    def __init__(self, writing: Writing, *, waits_in_bundle: bool) -> None:
        self._writing, self._waits_in_bundle = writing, waits_in_bundle

    def setup(self) -> None:
        self._metrics = SinkMetrics()
        self._streams = streams_of(self._writing)
        self._keys = _Keys(self._writing.environment)
        self._fused: Fused[OutputEvent, object] = Fused(
            "WritePerModel", self._send, name_of, self._send_failure, holds=not self._waits_in_bundle
        )
        self._of_bundle = BundleMetrics(self._fused.unforeseen)

    def start_bundle(self) -> None:
        self._of_bundle.start_bundle()
        self._outboxes: dict[str, Outbox] = {}  # new ones, so that a bundle that failed reports to nobody
        self._left: list[OutputEvent] = []

    def process(self, event: OutputEvent) -> None:
        self._fused.outputs(event)

    def _send(self, event: OutputEvent) -> tuple[()]:
        stream, value = stream_of(event), orjson.dumps(event.body)
        if not self._waits_in_bundle and self._streams.is_failing(stream):
            self._left.append(event)
            return ()
        if stream not in self._outboxes:
            self._outboxes[stream] = self._streams.transport.outbox(stream)
        self._outboxes[stream].put(event, value)
        return ()

    def _send_failure(self, event: OutputEvent, reason: str) -> tuple[()]:
        self._metrics.count_refused([event])
        return self._send(failure_of(event, reason, self._writing.failure_stream, self._writing.clock()))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._outboxes:
            self._streams.hold(self._outboxes, _HOLD_IN_BUNDLE_S if self._waits_in_bundle else _HOLD_S)
        deliveries = [delivery for outbox in self._outboxes.values() for delivery in outbox.deliveries]
        self._metrics.count(_requests(delivery.event for delivery in deliveries if delivery.is_delivered))
        self._left += [
            delivery.event for outbox in self._outboxes.values() for delivery in undelivered(outbox)
        ]
        if self._left and self._waits_in_bundle:
            self._deliver_now()
        for key, events in self._keys.under_keys(self._left):
            yield in_global_window((key, encode_events(events)))

    def _deliver_now(self) -> None:
        """Returns when all is delivered, or what goes out in its place. Raises DeliveryError."""
        redelivery = Redelivery(self._streams, self._writing.failure_stream, self._writing.clock)
        fruitless = 0
        while self._left:
            attempt = redelivery.begin(self._left)
            while not redelivery.wait_for(attempt, _PAUSE_S):
                pass
            outcome = redelivery.end(attempt)
            self._metrics.count(_requests(outcome.delivered.values()))
            self._metrics.count_refused(outcome.refused)
            self._left = outcome.left_of(self._left)
            fruitless = fruitless + bool(outcome.refusal) if outcome.is_fruitless else 0
            if fruitless >= _FRUITLESS:
                raise DeliveryError(outcome.refusal)
            if not outcome.delivered:
                self._writing.environment.sleep(_PAUSE_S)


def _requests(events: Iterable[OutputEvent]) -> list[ScoreRequest]:
    return [event.request for event in events if event.request]


class _Keys:
    """Under which keys events wait: a stream's own, each for so many events."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        # by stream: the key, how many are under it, and until when it is used
        self._open: dict[str, tuple[str, int, float]] = {}

    def under_keys(self, events: Sequence[OutputEvent]) -> Iterator[tuple[str, list[OutputEvent]]]:
        together: dict[str, list[OutputEvent]] = {}
        for event in events:
            together.setdefault(self._key(stream_of(event)), []).append(event)
        yield from together.items()

    def _key(self, stream: str) -> str:
        now = self._environment.monotonic()
        key, count, until = self._open.get(stream, ("", _UNDER_A_KEY, now))
        if count >= _UNDER_A_KEY or now > until:
            key, count, until = f"{stream}/{self._environment.new_id()}", 0, now + _KEY_S
        self._open[stream] = key, count + 1, until
        return key
