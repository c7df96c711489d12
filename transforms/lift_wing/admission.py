"""Decides who may ask now, and how long those sleep that find no room at an endpoint.

Where a request sleeps is its owner's business; here it is only counted.
"""

from __future__ import annotations

from collections.abc import Sized
from math import inf
from typing import Protocol

from transforms.delivery.waiting_counts import waiting_deliveries
from transforms.lift_wing.bulkhead import Bulkhead
from transforms.lift_wing.process_bulkheads import ProcessBulkheads
from transforms.lift_wing.responses import CallNotPermitted
from transforms.lift_wing.retry_policy import Limits
from transforms.models.model import Endpoint, LiftWingSettings
from transforms.worker.environment import Environment

# in each queue of a bulkhead, beyond those in flight: enough that it never runs dry while others are on their
# way out of Flink's state
_QUEUED_AT_MOST = 64
# for room, over all endpoints, beside those that calls were answered for in the last minute
_SPARE_LOOKS_PER_S = 100.0
_PARKED_LOOKS_PER_S = 500.0  # at all stopped endpoints
_SHORTEST_PARKED_S = 2.0


class Waiter(Protocol):
    """One request, or several for the same endpoint that entered together."""

    @property
    def entered_at(self) -> float:
        """Seconds since the epoch."""

    @property
    def late(self) -> bool:
        """Whether it has waited."""

    @property
    def requests(self) -> int:
        """How many they are."""

    @property
    def counted(self) -> int:
        """How many of them are counted as waiting since they found no room the last time."""


class Admission:
    """Admits requests to all endpoints of a process, from any thread. `open_calls`: those that are asked and
    not answered."""

    def __init__(
        self,
        settings: LiftWingSettings,
        environment: Environment,
        bulkheads: ProcessBulkheads,
        open_calls: Sized,
    ) -> None:
        self._monotonic, self._uniform = environment.monotonic, environment.uniform
        self._limits, self._most_open = Limits(settings.max_age_s, environment), 2 * settings.in_flight
        self._deliveries = waiting_deliveries(environment)
        self._bulkheads, self._open_calls, self._lock = bulkheads, open_calls, bulkheads.lock

    def admit(self, endpoint: Endpoint, waiter: Waiter) -> float:
        """Returns 0 where the requests may be asked; else how many seconds they sleep before they try again,
        and counts all of them as waiting, in place of those that were `counted`."""
        with self._lock:
            bulkhead, now = self._bulkheads.of(endpoint), self._monotonic()
            bulkhead.waitlist.remove(waiter.entered_at, waiter.counted)
            if not self._is_parked(endpoint) and self._has_room(bulkhead, waiter, now):
                return 0.0
            bulkhead.waitlist.add(waiter.entered_at, waiter.requests)
            return self._sleep_s(bulkhead, waiter.entered_at, now)

    def forget(self, endpoint: Endpoint, waiter: Waiter) -> None:
        """Takes requests that were `counted` as waiting, and end without a call, out of the count."""
        with self._lock:
            self._bulkheads.of(endpoint).waitlist.remove(waiter.entered_at, waiter.counted)

    def patience_s(self, endpoint: Endpoint) -> float | None:
        """Returns how many seconds requests wait at most while their endpoint is parked or refuses everybody,
        so that they do not age; None: it does neither."""
        if self._is_parked(endpoint):
            return inf
        with self._lock:
            is_refusing = self._bulkheads.of(endpoint).limit.breaker.is_refusing
            return self._limits.max_refused_s if is_refusing else None

    def seconds_failing(self, endpoint: Endpoint) -> float:
        """Returns for how long an endpoint has given no sign of life; 0 while it is not broken."""
        with self._lock:
            return self._bulkheads.of(endpoint).limit.breaker.seconds_failing(self._monotonic())

    def not_called(self, endpoint: Endpoint) -> CallNotPermitted:
        """Returns why a request for which there is no room has to wait."""
        with self._lock:
            return CallNotPermitted(self._bulkheads.of(endpoint).last_error)

    def _is_parked(self, endpoint: Endpoint) -> bool:
        """Returns whether the operator has stopped it, or no stream takes its model's scores."""
        return endpoint.concurrency == 0 or self._deliveries.is_undeliverable(endpoint.model)

    def _has_room(self, bulkhead: Bulkhead, waiter: Waiter, now: float) -> bool:
        if bulkhead.limit.is_broken:
            return bulkhead.limit.has_room(0, now) and not bulkhead.has_calls
        queued = len(bulkhead.late if waiter.late else bulkhead.new)
        # the last in line take what the first leave
        most = _QUEUED_AT_MOST * (bulkhead.waitlist.share_behind(waiter.entered_at) if waiter.late else 1)
        return (
            bulkhead.in_flight + queued < bulkhead.limit.current + most
            and len(self._open_calls) < self._most_open
        )

    def _sleep_s(self, bulkhead: Bulkhead, entered_at: float, now: float) -> float:
        jitter = self._uniform(0.8, 1.2)
        if self._is_parked(bulkhead.endpoint):
            parked = sum(
                each.waitlist.total for each in self._bulkheads.all() if self._is_parked(each.endpoint)
            )
            return jitter * max(_SHORTEST_PARKED_S, parked / _PARKED_LOOKS_PER_S)
        waited_for = sum(1 for each in self._bulkheads.all() if each.waitlist.total and each.limit.most)
        expected_per_s = max(
            bulkhead.throughput.per_s, min(bulkhead.limit.per_second, _SPARE_LOOKS_PER_S / waited_for)
        )
        return bulkhead.limit.breaker.seconds_to_probe(now) + jitter * bulkhead.waitlist.sleep_s(
            entered_at, expected_per_s
        )
