"""State, timers and metrics, for a DoFn that runs without a runner; requests that rest in state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apache_beam.metrics.execution import MetricsContainer
from apache_beam.runners.worker import statesampler
from apache_beam.utils.counters import CounterFactory
from apache_beam.utils.timestamp import Timestamp

from tests.support.events import edit
from transforms.async_io.pending_request import PendingRequest
from transforms.elements import Event, ScoreRequest
from transforms.events.source_events import event_of

NOW = 1_700_000_000.0


class Bag:
    def __init__(self) -> None:
        self.items: list[bytes] = []

    def read(self) -> list[bytes]:
        return self.items

    def add(self, item: bytes) -> None:
        self.items.append(item)

    def clear(self) -> None:
        self.items = []


class Timer:
    """The last time and tag that were set."""

    def __init__(self) -> None:
        self.at, self.tag = 0.0, ""

    def set(self, at: Timestamp, dynamic_timer_tag: str = "") -> None:
        self.at, self.tag = float(at), dynamic_timer_tag


@contextmanager
def metrics_of_a_step() -> Iterator[MetricsContainer]:
    """What a step counts within the context, as a worker keeps it."""
    container, sampler = MetricsContainer("step"), statesampler.StateSampler("", CounterFactory())
    before = statesampler.get_current_tracker()
    statesampler.set_current_tracker(sampler)
    with sampler.scoped_state("step", "process", metrics_container=container):
        yield container
    statesampler.set_current_tracker(before)


def pending(rev_id: int, model: str = "damaging", event: Event | None = None, **told: Any) -> PendingRequest:
    """A request of one event, that came at NOW."""
    event = event or event_of(edit(rev_id=rev_id), "eqiad")
    return PendingRequest(
        ScoreRequest(event, model),
        **{"entered_at": NOW, "asked_at": NOW, **told},
    )
