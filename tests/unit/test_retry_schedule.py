"""When events that their stream does not take are tried again."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from transforms.delivery.deliveries import Transport
from transforms.delivery.redelivery import Attempt
from transforms.delivery.retry_schedule import RetrySchedule
from transforms.delivery.write_streams import Writing
from transforms.worker.environment import REAL, Environment


class Nowhere:
    def open(self, environment: Environment) -> Transport:
        return cast(Transport, self)


def test_a_stream_that_takes_nothing_for_hours_is_still_tried() -> None:
    standing = replace(REAL, time=lambda: 0.0, monotonic=lambda: 0.0)
    schedule = RetrySchedule(Writing(Nowhere(), "errors", lambda: "2024-02-15T00:00:00Z", standing))
    sleeps = []
    for _ in range(2_000):
        schedule.attempts["a key"] = Attempt(0.0, {})
        schedule.end_attempt("a key")
        sleeps.append(schedule.sleep("a key", {"a stream": 1}))
    assert sleeps == [0.5, 1.0, 2.0, 4.0, 8.0, *[10.0] * 1_995]
