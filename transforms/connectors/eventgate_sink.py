"""Events to EventGate, which writes them to Kafka, with the same `meta.id` at every try."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import apache_beam as beam

from transforms.connectors.eventgate_posts import EventGatePosts
from transforms.delivery.write_streams import WriteFn, Writing
from transforms.elements import OutputEvent
from transforms.events.score_events import utc_now
from transforms.worker.environment import REAL, Environment


@dataclass(frozen=True)
class Gates:
    """A Destination: the EventGate of each datacenter, or one for all."""

    urls: tuple[tuple[str, str], ...]
    timeout_s: float

    def open(self, environment: Environment) -> EventGatePosts:
        return EventGatePosts(dict(self.urls), self.timeout_s, environment)


@dataclass
class EventGate(beam.PTransform):
    """Posts each event to the EventGate of its datacenter.

    In: OutputEvent.
    Out: what is not taken, for RetryDeliveries, with `waits_in_state`; else nothing.
    Bounded: either.
    Guarantee: at least once: a bundle ends when each event is taken, or among what comes out, or, where
        nothing comes out, DeliveryError is raised; what is invalid becomes a failure.
    """

    urls: Mapping[str, str]  # of /v1/events, by datacenter or for ALL
    failure_stream: str
    timeout_s: float = 15.0  # while its broker is frozen it says nothing
    clock: Callable[[], str] = utc_now
    waits_in_state: bool = False
    environment: Environment = REAL

    @property
    def writing(self) -> Writing:
        return Writing(
            Gates(tuple(sorted(self.urls.items())), self.timeout_s),
            self.failure_stream,
            self.clock,
            self.environment,
        )

    def expand(self, events: beam.PCollection[OutputEvent]) -> beam.PCollection[tuple[str, bytes]]:
        return events | "Post" >> beam.ParDo(
            WriteFn(self.writing, waits_in_bundle=not self.waits_in_state)
        ).with_output_types(tuple[str, bytes])
