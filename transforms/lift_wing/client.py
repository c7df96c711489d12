"""Asks Lift Wing for scores, without Beam: one event loop and one pool of connections for a whole worker
process.

The Host header names the service, the body the revision. Each endpoint has a lane of its own with its own
limit of calls at once, so that one that is slow, broken or stopped holds up nobody else. A call is tried
once: whoever asked decides what becomes of an error, and where a request waits until it is asked for again.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import NamedTuple

from transforms.delivery.waiting_deliveries import waiting_deliveries
from transforms.elements import Score, ScoreRequest
from transforms.environment import REAL, Environment
from transforms.events.tracing import as_lines, trace_headers
from transforms.http.curl_client import HttpAnswer, user_agent
from transforms.lift_wing.bulkhead import Answer, Call, Lane
from transforms.lift_wing.concurrency_limit import CallLimit
from transforms.lift_wing.credentials import authorization
from transforms.lift_wing.rate_limiter import CallRate
from transforms.lift_wing.responses import (
    LONGEST_REFUSED_S,
    NotCalled,
    Refused,
    Rejected,
    Unavailable,
    read_answer,
)
from transforms.models.adapters import KINDS, CannotAsk, question
from transforms.models.model import Endpoint, LiftWingSettings

# in each queue of a lane, beyond those in flight: enough that it never runs dry while others are on their way
# out of Flink's state
_QUEUED_AT_MOST = 64
# for room, over all endpoints, beside those that calls were answered for in the last minute
_SPARE_LOOKS_PER_S = 100.0
_PARKED_LOOKS_PER_S = 500.0  # at all stopped endpoints
_SHORTEST_PARKED_S = 2.0


class ClientFault(RuntimeError):
    """The client failed, not a call: it ends whatever waits for it."""


class Counts(NamedTuple):
    """What a model is at now, over all its endpoints, in this process."""

    in_flight: int = 0
    queued: int = 0
    waiting: int = 0  # requests that found no room and have not come back
    limit: int = 0  # calls at once that its endpoints would get now
    broken: int = 0  # endpoints that get no calls but a probe now and then


def headers_for(endpoint: Endpoint, settings: LiftWingSettings) -> list[str]:
    """The headers of all calls to an endpoint, but for `authorization`, which may change, and those of a
    call's trace."""
    headers = [
        "Content-Type: application/json",
        "Accept: application/json",
        "Expect:",
        f"User-Agent: {user_agent(settings.contact)}",
    ]
    if settings.by_host:
        headers.append(f"Host: {endpoint.host}")
    return headers


class LiftWing:
    """The calls of one worker process. `ask`, `admit`, `forget` and `counts` may be called from any
    thread."""

    def __init__(self, settings: LiftWingSettings, environment: Environment = REAL) -> None:
        self._settings, self._environment = settings, environment
        self._monotonic = environment.monotonic
        self._deliveries = waiting_deliveries(environment)
        self.id = environment.new_id()  # of this client among those of all processes
        self._lock = threading.Lock()
        self._new: deque[Call] = deque()
        self._awake = False
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()  # lanes with calls to start, in turn
        self._open: dict[Call, None] = {}  # asked and not answered, in order
        self._in_flight = 0
        self._rate = CallRate(settings.calls_per_s)
        self._resting = False
        self._connection = environment.connect(settings.timeout_s, settings.ca_file, self._break)

    def ask(
        self, endpoint: Endpoint, request: ScoreRequest, done: Callable[[Answer], None], late: bool = False
    ) -> None:
        """Calls as soon as there is room; `done` hears on the loop's thread how that ends. `late`: the
        request has waited, and every second place is for those."""
        call = Call(endpoint, request, done, late)
        with self._lock:
            self._open[call] = None
            self._new.append(call)
            if self._awake:
                return
            self._awake = True
        self._connection.run_soon(self._take_new)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Has `action` done on the loop's thread, of which this is called."""
        self._connection.run_later(seconds, action)

    def admit(
        self, endpoint: Endpoint, entered_at: float, late: bool, counted: int = 0, count: int = 1
    ) -> float:
        """Returns 0 where `count` requests that entered together may be asked; else how many seconds they
        sleep before they try again, and counts them as waiting. `counted`: how many of them were counted when
        they tried before."""
        with self._lock:
            lane, now = self._lane(endpoint), self._monotonic()
            lane.waitlist.remove(entered_at, counted)
            if not self._is_parked(endpoint) and self._has_room(lane, entered_at, late, now):
                return 0.0
            lane.waitlist.add(entered_at, count)
            return self._sleep_s(lane, entered_at, now, self._environment.uniform(0.8, 1.2))

    def forget(self, endpoint: Endpoint, entered_at: float) -> None:
        """Takes a request that was counted as waiting, and ends without a call, out of the count."""
        with self._lock:
            self._lane(endpoint).waitlist.remove(entered_at, 1)

    def patience_s(self, endpoint: Endpoint) -> float | None:
        """How long requests wait at most while their endpoint is parked or refuses everybody, so that they do
        not age, in seconds; None: it does neither."""
        if self._is_parked(endpoint):
            return inf
        with self._lock:
            return (
                max(LONGEST_REFUSED_S, self._settings.max_age_s)
                if self._lane(endpoint).limit.is_refusing
                else None
            )

    def _is_parked(self, endpoint: Endpoint) -> bool:
        """Whether the operator has stopped it, or nobody takes its model's scores."""
        return endpoint.concurrency == 0 or self._deliveries.is_undeliverable(endpoint.model)

    def _has_room(self, lane: Lane, entered_at: float, late: bool, now: float) -> bool:
        if lane.limit.is_broken:
            return lane.limit.has_room(0, now) and not lane.has_calls
        queued = len(lane.late if late else lane.new)
        # the last in line take what the first leave
        most = _QUEUED_AT_MOST * (lane.waitlist.share_behind(entered_at) if late else 1)
        return (
            lane.in_flight + queued < lane.limit.now + most and len(self._open) < 2 * self._settings.in_flight
        )

    def _sleep_s(self, lane: Lane, entered_at: float, now: float, jitter: float) -> float:
        if self._is_parked(lane.endpoint):
            parked = sum(
                each.waitlist.total for each in self._lanes.values() if self._is_parked(each.endpoint)
            )
            return jitter * max(_SHORTEST_PARKED_S, parked / _PARKED_LOOKS_PER_S)
        waited_for = sum(1 for each in self._lanes.values() if each.waitlist.total and each.limit.most)
        expected_per_s = max(
            lane.throughput.per_s, min(lane.limit.per_second, _SPARE_LOOKS_PER_S / waited_for)
        )
        return lane.limit.seconds_to_probe(now) + jitter * lane.waitlist.sleep_s(entered_at, expected_per_s)

    def seconds_failing(self, endpoint: Endpoint) -> float:
        """For how long there has been no sign of life from it; 0 while it is not broken."""
        with self._lock:
            return self._lane(endpoint).limit.seconds_failing(self._monotonic())

    def not_called(self, endpoint: Endpoint) -> NotCalled:
        """Why a request for which there is no room has to wait."""
        with self._lock:
            return NotCalled(self._lane(endpoint).last_error)

    def counts(self) -> dict[str, Counts]:
        """Of each model that was asked."""
        with self._lock:
            lanes = list(self._lanes.values())
        sums: dict[str, Counter[str]] = {}
        for lane in lanes:
            broken = lane.limit.is_broken
            sums.setdefault(lane.endpoint.model, Counter()).update(
                in_flight=lane.in_flight,
                queued=lane.queued,
                waiting=lane.waitlist.total,
                limit=0 if broken else lane.limit.now,
                broken=broken,
            )
        return {model: Counts(**of_model) for model, of_model in sums.items()}

    def close(self) -> None:
        self._connection.close()

    def _lane(self, endpoint: Endpoint) -> Lane:
        lane = self._lanes.get(endpoint.name)
        if lane is None:
            lane = self._lanes[endpoint.name] = Lane(
                endpoint,
                url=(endpoint.url or self._settings.url).rstrip("/") + endpoint.path,
                headers=headers_for(endpoint, self._settings),
                kind=KINDS[endpoint.kind],
                limit=CallLimit(endpoint.concurrency, self._environment.uniform),
                wikis=self._settings.wikis,
            )
        return lane

    def _take_new(self) -> None:
        with self._lock:
            taken, self._new, self._awake = self._new, deque(), False
            lanes = [self._lane(call.endpoint) for call in taken]
        for call, lane in zip(taken, lanes, strict=True):
            lane.add(call)
            self._list(lane)
        for lane in dict.fromkeys(lanes):
            if lane.limit.is_broken and not lane.listed:
                self._send_away(lane)
        self._start()

    def _list(self, lane: Lane) -> None:
        if not lane.listed and lane.has_calls and lane.limit.has_room(lane.in_flight, self._monotonic()):
            lane.listed = True
            self._ready.append(lane)

    def _start(self) -> None:
        while self._ready and self._in_flight < self._settings.in_flight and self._may_call():
            lane = self._ready.popleft()
            lane.listed = False
            # it was emptied, or shrank, meanwhile
            if not lane.has_calls or not lane.limit.has_room(lane.in_flight, self._monotonic()):
                continue
            calls = lane.take()
            try:
                body = question(lane.kind, [call.request for call in calls], lane.wikis)
            except CannotAsk as error:
                self._end(lane, calls, Rejected(str(error), "no_question"))
            except Exception as error:  # of these requests, and of no other
                self._end(lane, calls, error)
            else:
                self._post(lane, calls, body)
            if lane.limit.is_broken:
                self._send_away(lane)
            self._list(lane)

    def _post(self, lane: Lane, calls: list[Call], body: bytes) -> None:
        now = self._monotonic()
        lane.limit.started(now)
        lane.in_flight += 1
        self._in_flight += 1
        trace = as_lines(trace_headers(calls[0].request.event.raw))
        self._connection.post(
            lane.url,
            [*lane.headers, *trace, *authorization(self._settings)],
            body,
            partial(self._answered, calls, lane, now),
        )

    def _may_call(self) -> bool:
        """Whether the rate allows another call now; if not, `_start` comes again when it does."""
        wait = self._rate.try_acquire(self._monotonic())
        if wait and not self._resting:
            self._resting = True
            self._connection.run_later(wait, self._go_on)
        return not wait

    def _go_on(self) -> None:
        self._resting = False
        self._start()

    def _send_away(self, lane: Lane) -> None:
        """What waits in memory for a broken endpoint can wait elsewhere."""
        for call in lane.take_all():
            self._finish(call, NotCalled(lane.last_error), 0.0)

    def _answered(self, calls: list[Call], lane: Lane, started_at: float, answer: HttpAnswer) -> None:
        lane.in_flight -= 1
        self._in_flight -= 1
        results: Sequence[Score | Exception]
        try:
            results = read_answer(answer, lane.kind, [call.request for call in calls])
        except Exception as error:  # a LiftWingError that is of all, or a fault in reading this answer
            results = [error] * len(calls)
        self._learn(lane, results[0], started_at, answer.seconds, len(calls))
        if len(calls) > 1 and _may_be_of_one(results):
            lane.give_back(calls)
        else:
            for call, result in zip(calls, results, strict=True):
                self._finish(call, result, answer.seconds)
        self._list(lane)
        self._start()

    def _learn(
        self, lane: Lane, result: Score | Exception, started_at: float, seconds: float, calls: int
    ) -> None:
        """Notes what the answer to so many requests says of their endpoint."""
        now = self._monotonic()
        if isinstance(result, Refused):
            lane.last_error = str(result)
            result.of_all = lane.limit.refused(now)
            result.of_one = lane.limit.has_answered and not result.of_all
            if result.of_all:
                self._send_away(lane)
        elif isinstance(result, Unavailable):
            lane.last_error = str(result)
            if lane.limit.failed(started_at, now, min(result.retry_after_s, self._settings.max_age_s / 2)):
                self._send_away(lane)
        else:
            lane.limit.answered(seconds, now)
            with self._lock:
                lane.throughput.count(now, calls)

    def _end(self, lane: Lane, calls: list[Call], error: Exception) -> None:
        """Ends a request that cannot be asked; of several each is to be asked alone."""
        if len(calls) > 1:
            lane.give_back(calls)
        else:
            self._finish(calls[0], error, 0.0)

    def _break(self, fault: BaseException) -> None:
        """A fault of the connection, and of no call, would leave calls unanswered for ever: so it is the
        answer to all of them."""
        with self._lock:
            unanswered = list(self._open)
        for call in unanswered:
            self._finish(call, ClientFault(repr(fault)), 0.0)

    def _finish(self, call: Call, result: Score | Exception, seconds: float) -> None:
        with self._lock:
            if call not in self._open:  # a fault answered it before
                return
            del self._open[call]
        call.done(Answer(result, seconds))


def _may_be_of_one(results: Sequence[Score | Exception]) -> bool:
    """Whether the requests of one call may have failed because of one of them, so that each is to be asked
    alone."""
    first = results[0]
    return all(result is first for result in results) and not isinstance(first, (Unavailable, Refused))


class SharedLiftWing:
    """The one LiftWing of this process for given settings: opened by the first user, closed by the last."""

    _open: dict[tuple[LiftWingSettings, Environment], tuple[LiftWing, int]] = {}
    _lock = threading.Lock()

    @classmethod
    def acquire(cls, settings: LiftWingSettings, environment: Environment = REAL) -> LiftWing:
        with cls._lock:
            lift_wing, users = cls._open.get((settings, environment)) or (LiftWing(settings, environment), 0)
            cls._open[settings, environment] = (lift_wing, users + 1)
            return lift_wing

    @classmethod
    def release(cls, settings: LiftWingSettings, environment: Environment = REAL) -> None:
        with cls._lock:
            lift_wing, users = cls._open.pop((settings, environment))
            if users > 1:
                cls._open[settings, environment] = (lift_wing, users - 1)
            else:
                lift_wing.close()
