"""Asks Lift Wing for scores, without Beam: one event loop and one pool of connections for a whole worker
process.

The Host header names the service, the body the revision. Each endpoint has a bulkhead of its own with its own
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
from transforms.lift_wing.bulkhead import Bulkhead, Call, CallResult
from transforms.lift_wing.concurrency_limit import ConcurrencyLimit
from transforms.lift_wing.credentials import authorization
from transforms.lift_wing.rate_limiter import RateLimiter
from transforms.lift_wing.responses import (
    CallNotPermitted,
    Refused,
    Rejected,
    Unavailable,
    read_answer,
)
from transforms.lift_wing.retry_policy import LONGEST_REFUSED_S
from transforms.models.adapters import KINDS, UnsupportedRequestError, request_body
from transforms.models.model import Endpoint, LiftWingSettings

# in each queue of a bulkhead, beyond those in flight: enough that it never runs dry while others are on their
# way out of Flink's state
_QUEUED_AT_MOST = 64
# for room, over all endpoints, beside those that calls were answered for in the last minute
_SPARE_LOOKS_PER_S = 100.0
_PARKED_LOOKS_PER_S = 500.0  # at all stopped endpoints
_SHORTEST_PARKED_S = 2.0


class ClientError(RuntimeError):
    """The client failed, not a call: it ends whatever waits for it."""


class ModelStats(NamedTuple):
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


class LiftWingClient:
    """The calls of one worker process. `submit`, `admit`, `forget` and `stats` may be called from any
    thread."""

    def __init__(self, settings: LiftWingSettings, environment: Environment = REAL) -> None:
        self._settings, self._environment = settings, environment
        self._monotonic = environment.monotonic
        self._deliveries = waiting_deliveries(environment)
        self.id = environment.new_id()  # of this client among those of all processes
        self._lock = threading.Lock()
        self._submitted: deque[Call] = deque()
        self._awake = False
        self._bulkheads: dict[str, Bulkhead] = {}
        self._ready: deque[Bulkhead] = deque()  # bulkheads with calls to start, in turn
        self._open: dict[Call, None] = {}  # asked and not answered, in order
        self._in_flight = 0
        self._rate = RateLimiter(settings.calls_per_s)
        self._rate_limited = False
        self._connection = environment.connect(settings.timeout_s, settings.ca_file, self._fail_all)

    def submit(
        self,
        endpoint: Endpoint,
        request: ScoreRequest,
        done: Callable[[CallResult], None],
        late: bool = False,
    ) -> None:
        """Calls as soon as there is room; `done` hears on the loop's thread how that ends. `late`: the
        request has waited, and every second place is for those."""
        call = Call(endpoint, request, done, late)
        with self._lock:
            self._open[call] = None
            self._submitted.append(call)
            if self._awake:
                return
            self._awake = True
        self._connection.run_soon(self._take_submitted)

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Has `action` done on the loop's thread, of which this is called."""
        self._connection.run_later(seconds, action)

    def admit(
        self, endpoint: Endpoint, entered_at: float, late: bool, counted: int = 0, count: int = 1
    ) -> float:
        """Returns 0 where `count` requests that entered together may be asked; else how many seconds they
        sleep before they try again, and counts them as waiting. `counted`: how many of them were counted when
        they tried before."""
        with self._lock:
            bulkhead, now = self._bulkhead(endpoint), self._monotonic()
            bulkhead.waitlist.remove(entered_at, counted)
            if not self._is_parked(endpoint) and self._has_room(bulkhead, entered_at, late, now):
                return 0.0
            bulkhead.waitlist.add(entered_at, count)
            return self._sleep_s(bulkhead, entered_at, now, self._environment.uniform(0.8, 1.2))

    def forget(self, endpoint: Endpoint, entered_at: float) -> None:
        """Takes a request that was counted as waiting, and ends without a call, out of the count."""
        with self._lock:
            self._bulkhead(endpoint).waitlist.remove(entered_at, 1)

    def patience_s(self, endpoint: Endpoint) -> float | None:
        """How long requests wait at most while their endpoint is parked or refuses everybody, so that they do
        not age, in seconds; None: it does neither."""
        if self._is_parked(endpoint):
            return inf
        with self._lock:
            return (
                max(LONGEST_REFUSED_S, self._settings.max_age_s)
                if self._bulkhead(endpoint).limit.breaker.is_refusing
                else None
            )

    def _is_parked(self, endpoint: Endpoint) -> bool:
        """Whether the operator has stopped it, or nobody takes its model's scores."""
        return endpoint.concurrency == 0 or self._deliveries.is_undeliverable(endpoint.model)

    def _has_room(self, bulkhead: Bulkhead, entered_at: float, late: bool, now: float) -> bool:
        if bulkhead.limit.is_broken:
            return bulkhead.limit.has_room(0, now) and not bulkhead.has_calls
        queued = len(bulkhead.late if late else bulkhead.new)
        # the last in line take what the first leave
        most = _QUEUED_AT_MOST * (bulkhead.waitlist.share_behind(entered_at) if late else 1)
        return (
            bulkhead.in_flight + queued < bulkhead.limit.current + most
            and len(self._open) < 2 * self._settings.in_flight
        )

    def _sleep_s(self, bulkhead: Bulkhead, entered_at: float, now: float, jitter: float) -> float:
        if self._is_parked(bulkhead.endpoint):
            parked = sum(
                each.waitlist.total for each in self._bulkheads.values() if self._is_parked(each.endpoint)
            )
            return jitter * max(_SHORTEST_PARKED_S, parked / _PARKED_LOOKS_PER_S)
        waited_for = sum(1 for each in self._bulkheads.values() if each.waitlist.total and each.limit.most)
        expected_per_s = max(
            bulkhead.throughput.per_s, min(bulkhead.limit.per_second, _SPARE_LOOKS_PER_S / waited_for)
        )
        return bulkhead.limit.breaker.seconds_to_probe(now) + jitter * bulkhead.waitlist.sleep_s(
            entered_at, expected_per_s
        )

    def seconds_failing(self, endpoint: Endpoint) -> float:
        """For how long there has been no sign of life from it; 0 while it is not broken."""
        with self._lock:
            return self._bulkhead(endpoint).limit.breaker.seconds_failing(self._monotonic())

    def not_called(self, endpoint: Endpoint) -> CallNotPermitted:
        """Why a request for which there is no room has to wait."""
        with self._lock:
            return CallNotPermitted(self._bulkhead(endpoint).last_error)

    def stats(self) -> dict[str, ModelStats]:
        """Of each model that was asked."""
        with self._lock:
            bulkheads = list(self._bulkheads.values())
        sums: dict[str, Counter[str]] = {}
        for bulkhead in bulkheads:
            broken = bulkhead.limit.is_broken
            sums.setdefault(bulkhead.endpoint.model, Counter()).update(
                in_flight=bulkhead.in_flight,
                queued=bulkhead.queued,
                waiting=bulkhead.waitlist.total,
                limit=0 if broken else bulkhead.limit.current,
                broken=broken,
            )
        return {model: ModelStats(**of_model) for model, of_model in sums.items()}

    def close(self) -> None:
        self._connection.close()

    def _bulkhead(self, endpoint: Endpoint) -> Bulkhead:
        bulkhead = self._bulkheads.get(endpoint.name)
        if bulkhead is None:
            bulkhead = self._bulkheads[endpoint.name] = Bulkhead(
                endpoint,
                url=(endpoint.url or self._settings.url).rstrip("/") + endpoint.path,
                headers=headers_for(endpoint, self._settings),
                kind=KINDS[endpoint.kind],
                limit=ConcurrencyLimit(endpoint.concurrency, self._environment.uniform),
                wikis=self._settings.wikis,
            )
        return bulkhead

    def _take_submitted(self) -> None:
        with self._lock:
            taken, self._submitted, self._awake = self._submitted, deque(), False
            bulkheads = [self._bulkhead(call.endpoint) for call in taken]
        for call, bulkhead in zip(taken, bulkheads, strict=True):
            bulkhead.add(call)
            self._schedule(bulkhead)
        for bulkhead in dict.fromkeys(bulkheads):
            if bulkhead.limit.is_broken and not bulkhead.scheduled:
                self._reject_queued(bulkhead)
        self._start()

    def _schedule(self, bulkhead: Bulkhead) -> None:
        if (
            not bulkhead.scheduled
            and bulkhead.has_calls
            and bulkhead.limit.has_room(bulkhead.in_flight, self._monotonic())
        ):
            bulkhead.scheduled = True
            self._ready.append(bulkhead)

    def _start(self) -> None:
        while self._ready and self._in_flight < self._settings.in_flight and self._may_call():
            bulkhead = self._ready.popleft()
            bulkhead.scheduled = False
            # it was emptied, or shrank, meanwhile
            if not bulkhead.has_calls or not bulkhead.limit.has_room(bulkhead.in_flight, self._monotonic()):
                continue
            calls = bulkhead.next_batch()
            try:
                body = request_body(bulkhead.kind, [call.request for call in calls], bulkhead.wikis)
            except UnsupportedRequestError as error:
                self._end(bulkhead, calls, Rejected(str(error), "no_question"))
            except Exception as error:  # of these requests, and of no other
                self._end(bulkhead, calls, error)
            else:
                self._post(bulkhead, calls, body)
            if bulkhead.limit.is_broken:
                self._reject_queued(bulkhead)
            self._schedule(bulkhead)

    def _post(self, bulkhead: Bulkhead, calls: list[Call], body: bytes) -> None:
        now = self._monotonic()
        bulkhead.limit.breaker.started()
        bulkhead.in_flight += 1
        self._in_flight += 1
        trace = as_lines(trace_headers(calls[0].request.event.raw))
        self._connection.post(
            bulkhead.url,
            [*bulkhead.headers, *trace, *authorization(self._settings)],
            body,
            partial(self._answered, calls, bulkhead, now),
        )

    def _may_call(self) -> bool:
        """Whether the rate allows another call now; if not, `_start` comes again when it does."""
        wait = self._rate.try_acquire(self._monotonic())
        if wait and not self._rate_limited:
            self._rate_limited = True
            self._connection.run_later(wait, self._resume)
        return not wait

    def _resume(self) -> None:
        self._rate_limited = False
        self._start()

    def _reject_queued(self, bulkhead: Bulkhead) -> None:
        """What waits in memory for a broken endpoint can wait elsewhere."""
        for call in bulkhead.drain():
            self._finish(call, CallNotPermitted(bulkhead.last_error), 0.0)

    def _answered(self, calls: list[Call], bulkhead: Bulkhead, started_at: float, answer: HttpAnswer) -> None:
        bulkhead.in_flight -= 1
        self._in_flight -= 1
        results: Sequence[Score | Exception]
        try:
            results = read_answer(answer, bulkhead.kind, [call.request for call in calls])
        except Exception as error:  # a LiftWingError that is of all, or a fault in reading this answer
            results = [error] * len(calls)
        self._learn(bulkhead, results[0], started_at, answer.seconds, len(calls))
        if len(calls) > 1 and _may_be_of_one(results):
            bulkhead.requeue_alone(calls)
        else:
            for call, result in zip(calls, results, strict=True):
                self._finish(call, result, answer.seconds)
        self._schedule(bulkhead)
        self._start()

    def _learn(
        self, bulkhead: Bulkhead, result: Score | Exception, started_at: float, seconds: float, calls: int
    ) -> None:
        """Notes what the answer to so many requests says of their endpoint."""
        now = self._monotonic()
        if isinstance(result, Refused):
            bulkhead.last_error = str(result)
            result.of_all = bulkhead.limit.breaker.refused(now)
            result.of_one = bulkhead.limit.breaker.has_answered and not result.of_all
            if result.of_all:
                self._reject_queued(bulkhead)
        elif isinstance(result, Unavailable):
            bulkhead.last_error = str(result)
            if bulkhead.limit.failed(
                started_at, now, min(result.retry_after_s, self._settings.max_age_s / 2)
            ):
                self._reject_queued(bulkhead)
        else:
            bulkhead.limit.answered(seconds, now)
            with self._lock:
                bulkhead.throughput.count(now, calls)

    def _end(self, bulkhead: Bulkhead, calls: list[Call], error: Exception) -> None:
        """Ends a request that cannot be asked; of several each is to be asked alone."""
        if len(calls) > 1:
            bulkhead.requeue_alone(calls)
        else:
            self._finish(calls[0], error, 0.0)

    def _fail_all(self, fault: BaseException) -> None:
        """A fault of the connection, and of no call, would leave calls unanswered for ever: so it is the
        answer to all of them."""
        with self._lock:
            unanswered = list(self._open)
        for call in unanswered:
            self._finish(call, ClientError(repr(fault)), 0.0)

    def _finish(self, call: Call, result: Score | Exception, seconds: float) -> None:
        with self._lock:
            if call not in self._open:  # a fault answered it before
                return
            del self._open[call]
        call.done(CallResult(result, seconds))


def _may_be_of_one(results: Sequence[Score | Exception]) -> bool:
    """Whether the requests of one call may have failed because of one of them, so that each is to be asked
    alone."""
    first = results[0]
    return all(result is first for result in results) and not isinstance(first, (Unavailable, Refused))


class SharedClient:
    """The one client of this process for given settings: opened by the first user, closed by the last."""

    _open: dict[tuple[LiftWingSettings, Environment], tuple[LiftWingClient, int]] = {}
    _lock = threading.Lock()

    @classmethod
    def acquire(cls, settings: LiftWingSettings, environment: Environment = REAL) -> LiftWingClient:
        with cls._lock:
            lift_wing, users = cls._open.get((settings, environment)) or (
                LiftWingClient(settings, environment),
                0,
            )
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
