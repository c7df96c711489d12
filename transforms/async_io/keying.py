"""Chooses the keys under which requests go into Flink's state: state is read and written by key, with a round
trip to Flink each time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from transforms.async_io.pending_request import PendingRequest
from transforms.async_io.state_codec import encode_pending
from transforms.elements import ScoreRequests
from transforms.events.source_events import key_of
from transforms.worker.environment import REAL, Environment
from transforms.worker.global_window import in_global_window

_TOGETHER_AT_MOST = 10  # events of a key: what a process holds in memory to ask one request of one of them


@dataclass
class KeyByEvent(beam.PTransform):
    """Keys the requests of each event so that the event has the same key when it comes again.

    In: ScoreRequests, all of one event.
    Out: the key, and the requests as state has them.
    Bounded: either.
    Guarantee: one element out for each in.
    """

    environment: Environment = REAL

    def expand(self, requests: beam.PCollection[ScoreRequests]) -> beam.PCollection[tuple[str, bytes]]:
        return requests | "Key" >> beam.ParDo(KeyByEventFn(self.environment)).with_output_types(
            tuple[str, bytes]
        )


class KeyByEventFn(beam.DoFn):
    """See KeyByEvent."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def process(self, requests: ScoreRequests) -> Iterator[tuple[str, bytes]]:
        yield key_of(requests[0].event), encode_pending(_asked_at(self._environment.time(), requests))


@dataclass
class KeyByBundle(beam.PTransform):
    """Keys what comes in one bundle together: one event when little comes, up to ten when much does.

    In: ScoreRequests, all of one event.
    Out: a key of its own, and the requests as state has them.
    Bounded: either.
    Guarantee: each request comes out once, under one key.
    """

    environment: Environment = REAL

    def expand(self, requests: beam.PCollection[ScoreRequests]) -> beam.PCollection[tuple[str, bytes]]:
        return requests | "Key" >> beam.ParDo(KeyByBundleFn(self.environment)).with_output_types(
            tuple[str, bytes]
        )


class KeyByBundleFn(beam.DoFn):
    """See KeyByBundle."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def start_bundle(self) -> None:
        self._together: list[ScoreRequests] = []

    def process(self, requests: ScoreRequests) -> Iterator[tuple[str, bytes]]:
        self._together.append(requests)
        if len(self._together) == _TOGETHER_AT_MOST:
            yield self._keyed()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._together:
            yield in_global_window(self._keyed())

    def _keyed(self) -> tuple[str, bytes]:
        together, self._together = self._together, []
        now = self._environment.time()
        return self._environment.new_id(), encode_pending(
            pending for requests in together for pending in _asked_at(now, requests)
        )


def _asked_at(now: float, requests: ScoreRequests) -> list[PendingRequest]:
    return [PendingRequest(request, now, now) for request in requests]
