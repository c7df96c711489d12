"""Holds events that a stream did not take in Flink's state, until it takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from transforms.delivery.deliveries import stream_of
from transforms.delivery.redelivery import Attempt
from transforms.delivery.retry_schedule import RetrySchedule
from transforms.delivery.sink_metrics import SinkMetrics
from transforms.delivery.undelivered_codec import (
    counted,
    decode_events,
    decode_tag,
    encode_events,
    encode_tag,
)
from transforms.delivery.waiting_counts import WaitingDeliveries, gauge_name
from transforms.delivery.write_streams import Writing
from transforms.elements import OutputEvent
from transforms.metrics.bundle_metrics import BundleMetrics
from transforms.worker.shared import SHARED

_ANSWER_S = 0.1  # how long the stage waits for an acknowledgement before it does something else
_GAUGES_S = 1.0


@dataclass
class RetryDeliveries(beam.PTransform):
    """Holds in state what a stream did not take, and delivers it when it does again; one stage for all sinks.

    In: the key of a stream's chunk, and its events as state has them.
    Out: nothing: all is written.
    Bounded: unbounded.
    Guarantee: at least once; each stream is tried and paced by itself, so that one that is ill holds up no
        other; what a stream will never take, or waits for one that is not among `streams` any more, becomes a
        failure.
    """

    writing: Writing
    streams: frozenset[str] | None = None  # without datacenters; None: any

    def expand(self, undelivered: tuple[beam.PCollection[tuple[str, bytes]], ...]) -> beam.PCollection[None]:
        return (
            undelivered
            | "AllUndelivered" >> beam.Flatten()
            | "Retry" >> beam.ParDo(RetryFn(self.writing, self.streams))
        )


class RetryFn(beam.DoFn):
    """Takes what an attempt delivered out of what state holds then, whatever this process remembers: state is
    the truth."""

    UNDELIVERED = BagStateSpec("undelivered", coders.BytesCoder())
    RETRY = TimerSpec("retry", TimeDomain.REAL_TIME)

    def __init__(self, writing: Writing, streams: frozenset[str] | None) -> None:
        self._writing, self._known, self._environment = writing, streams, writing.environment

    def setup(self) -> None:
        self._metrics, self._of_bundle = SinkMetrics(), BundleMetrics()
        self._schedule = SHARED.acquire(RetrySchedule, self._writing)
        self._waiting = self._schedule.waiting
        self._own = WaitingDeliveries()  # of the keys of this instance; Flink adds up what all of them tell
        self._gauges_due = 0.0

    def start_bundle(self) -> None:
        self._of_bundle.start_bundle()

    def process(
        self,
        element: tuple[str, bytes],
        undelivered: Any = beam.DoFn.StateParam(UNDELIVERED),
        retry: Any = beam.DoFn.TimerParam(RETRY),
    ) -> None:
        key, encoded = element
        undelivered.add(encoded)
        events = decode_events(encoded)
        for event in events:
            if event.request:
                self._waiting.note_model(event.request.model, event.datacenter, stream_of(event))
        waiting = counted(events)
        waiting.update(self._waiting.under(key))
        self._note(key, waiting)
        if not self._schedule.has_timer(key):
            self._sleep(key, waiting, retry)

    @on_timer(RETRY)
    def retry(
        self,
        key: str = beam.DoFn.KeyParam,
        tag: str = beam.DoFn.DynamicTimerTagParam,
        undelivered: Any = beam.DoFn.StateParam(UNDELIVERED),
        retry: Any = beam.DoFn.TimerParam(RETRY),
    ) -> None:
        # a process that has just begun knows what the timer says
        waiting = self._waiting.under(key) or decode_tag(tag)
        self._note(key, waiting)
        if self._known is not None and any(stream.partition(".")[2] not in self._known for stream in waiting):
            waiting = self._give_up_gone(key, self._known, undelivered)
        attempt = self._attempt(key, waiting, undelivered)
        if attempt is None or not self._schedule.redelivery.wait_for(attempt, _ANSWER_S):
            self._sleep(key, waiting, retry)
            return
        waiting = counted(self._end(key, undelivered))
        self._note(key, waiting)
        if waiting:
            self._sleep(key, waiting, retry)
        else:
            self._schedule.forget(key)

    def finish_bundle(self) -> None:
        # the last bundle tells that nothing waits any more
        if (now := self._environment.monotonic()) < self._gauges_due and self._own.keys():
            return
        self._gauges_due = now + _GAUGES_S
        failing = self._schedule.redelivery.streams.failing()
        for stream, count in self._own.counts().items():
            Metrics.gauge("WritePerModel", gauge_name("waiting_deliveries", stream)).set(count)
            Metrics.gauge("WritePerModel", gauge_name("failing", stream)).set(
                int(count > 0 and failing.get(stream, False))
            )

    def _note(self, key: str, waiting: Mapping[str, int]) -> None:
        self._waiting.note(key, waiting)
        self._own.note(key, waiting)

    def _attempt(self, key: str, waiting: Mapping[str, int], undelivered: Any) -> Attempt | None:
        """Returns the attempt that a key has, or a new one where one of its streams may be tried."""
        attempts, redelivery = self._schedule.attempts, self._schedule.redelivery
        if key not in attempts and any(redelivery.seconds_to_wait(stream) <= 0 for stream in waiting):
            attempts[key] = redelivery.begin(_read(undelivered))
        return attempts.get(key)

    def _end(self, key: str, undelivered: Any) -> list[OutputEvent]:
        """Takes what the attempt delivered out of state. Returns what is left."""
        outcome = self._schedule.end_attempt(key)
        self._metrics.count(event.request for event in outcome.delivered.values() if event.request)
        self._metrics.count_refused(outcome.refused)
        left = outcome.left_of(_read(undelivered))
        if not outcome.is_fruitless:
            undelivered.clear()
            if left:
                undelivered.add(encode_events(left))
        return left

    def _give_up_gone(self, key: str, known: frozenset[str], undelivered: Any) -> Mapping[str, int]:
        """Has a failure wait in the stead of each event whose stream is gone. Returns how many events wait
        now, by stream."""
        there = _read(undelivered)
        left = self._schedule.redelivery.without_gone(there, known)
        self._metrics.count_refused(
            [before for before, after in zip(there, left, strict=True) if before.stream != after.stream]
        )
        undelivered.clear()
        undelivered.add(encode_events(left))
        waiting = counted(left)
        self._note(key, waiting)
        return waiting

    def _sleep(self, key: str, waiting: Mapping[str, int], retry: Any) -> None:
        due = self._schedule.sleep(key, waiting)
        retry.set(Timestamp.of(due), dynamic_timer_tag=encode_tag(waiting))


def _read(undelivered: Any) -> list[OutputEvent]:
    return [event for encoded in undelivered.read() for event in decode_events(encoded)]
