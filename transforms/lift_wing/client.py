"""Asks Lift Wing for scores, without Beam: one event loop and one pool of connections for a whole worker
process.

The Host header names the service, the body the revision. Each endpoint has a bulkhead of its own with its own
limit of calls at once, so that one that is slow, broken or stopped holds up nobody else. A call is tried
once: retries, and where a request waits for one, are the caller's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from transforms.elements import Score, ScoreRequest
from transforms.events.tracing import as_lines, trace_headers
from transforms.http.curl_client import HttpAnswer
from transforms.lift_wing.admission import Admission
from transforms.lift_wing.bulkhead import Bulkhead, Call, CallResult
from transforms.lift_wing.credentials import authorization
from transforms.lift_wing.process_bulkheads import ModelStats, ProcessBulkheads
from transforms.lift_wing.rate_limiter import RateLimiter
from transforms.lift_wing.responses import (
    CallNotPermitted,
    Refused,
    Rejected,
    Unavailable,
    read_answer,
)
from transforms.models.adapters import request_body
from transforms.models.model import Endpoint, LiftWingSettings
from transforms.models.model_inputs import UnsupportedRequestError
from transforms.worker.environment import REAL, Environment


class _Batch(NamedTuple):
    """Calls that are out as one HTTP call."""

    bulkhead: Bulkhead
    calls: list[Call]
    started_at: float  # seconds of a monotonic clock


class ClientError(RuntimeError):
    """The client failed, and no call did: it is the result of every call that is out."""


class LiftWingClient:
    """Makes the calls of one worker process. `submit` and `stats` may be called from any thread, as may all
    of `admission`, which says who may submit."""

    def __init__(self, settings: LiftWingSettings, environment: Environment = REAL) -> None:
        self._settings, self._environment = settings, environment
        self._monotonic = environment.monotonic
        self.id = environment.new_id()  # of this client among those of all processes
        self._bulkheads = ProcessBulkheads(settings, environment)
        self._lock = self._bulkheads.lock
        self._submitted: deque[Call] = deque()
        self._awake = False
        self._ready: deque[Bulkhead] = deque()  # bulkheads with calls to start, in turn
        self._open: dict[Call, None] = {}  # asked and not answered, in order
        self.admission = Admission(settings, environment, self._bulkheads, self._open)
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
        """Calls as soon as there is room, and passes the result to `done`, on the loop's thread. `late`: the
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
        """Does `action` on the loop's thread after so many seconds. Called on that thread."""
        self._connection.run_later(seconds, action)

    def stats(self) -> dict[str, ModelStats]:
        """Returns those of each model that was asked."""
        return self._bulkheads.stats()

    def close(self) -> None:
        """Ends the loop's thread. Calls that are out get no result."""
        self._connection.close()

    def _take_submitted(self) -> None:
        with self._lock:
            taken, self._submitted, self._awake = self._submitted, deque(), False
            bulkheads = [self._bulkheads.of(call.endpoint) for call in taken]
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
        while self._ready and self._in_flight < self._settings.in_flight and self._acquire_call():
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
        bulkhead.limit.breaker.on_start()
        bulkhead.in_flight += 1
        self._in_flight += 1
        trace = as_lines(trace_headers(calls[0].request.event.raw))
        self._connection.post(
            bulkhead.url,
            [*bulkhead.headers, *trace, *authorization(self._settings)],
            body,
            partial(self._answered, _Batch(bulkhead, calls, now)),
        )

    def _acquire_call(self) -> bool:
        """Takes a call of the rate limit. Returns False where there is none now, and starts again when there
        is."""
        wait = self._rate.try_acquire(self._monotonic())
        if wait and not self._rate_limited:
            self._rate_limited = True
            self._connection.run_later(wait, self._resume)
        return not wait

    def _resume(self) -> None:
        self._rate_limited = False
        self._start()

    def _reject_queued(self, bulkhead: Bulkhead) -> None:
        """Ends what is queued for a broken endpoint without a call: it can wait elsewhere."""
        for call in bulkhead.drain():
            self._finish(call, CallNotPermitted(bulkhead.last_error), 0.0)

    def _answered(self, batch: _Batch, answer: HttpAnswer) -> None:
        bulkhead, calls = batch.bulkhead, batch.calls
        bulkhead.in_flight -= 1
        self._in_flight -= 1
        results: Sequence[Score | Exception]
        try:
            results = read_answer(answer, bulkhead.kind, [call.request for call in calls])
        except Exception as error:  # a LiftWingError that is of all, or a fault in reading this answer
            results = [error] * len(calls)
        self._learn(batch, results[0], answer.seconds)
        if len(calls) > 1 and _may_be_of_one(results):
            bulkhead.requeue_alone(calls)
        else:
            for call, result in zip(calls, results, strict=True):
                self._finish(call, result, answer.seconds)
        self._schedule(bulkhead)
        self._start()

    def _learn(self, batch: _Batch, result: Score | Exception, seconds: float) -> None:
        """Notes what an answer that took so long says of the endpoint."""
        bulkhead, now = batch.bulkhead, self._monotonic()
        if isinstance(result, Refused):
            bulkhead.last_error = str(result)
            result.of_all = bulkhead.limit.breaker.on_refusal(now)
            result.of_one = bulkhead.limit.breaker.has_answered and not result.of_all
            if result.of_all:
                self._reject_queued(bulkhead)
        elif isinstance(result, Unavailable):
            bulkhead.last_error = str(result)
            retry_after_s = min(result.retry_after_s, self._settings.max_age_s / 2)
            if bulkhead.limit.on_failure(batch.started_at, now, retry_after_s):
                self._reject_queued(bulkhead)
        else:
            bulkhead.limit.on_success(seconds, now)
            with self._lock:
                bulkhead.throughput.count(now, len(batch.calls))

    def _end(self, bulkhead: Bulkhead, calls: list[Call], error: Exception) -> None:
        """Ends a request that cannot be asked; of several each is to be asked alone."""
        if len(calls) > 1:
            bulkhead.requeue_alone(calls)
        else:
            self._finish(calls[0], error, 0.0)

    def _fail_all(self, fault: BaseException) -> None:
        """Ends all calls with a fault of the connection, which would leave them unanswered for ever."""
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
    """Returns whether one of several requests may be why all of them failed, so that each is to be asked
    alone."""
    first = results[0]
    return all(result is first for result in results) and not isinstance(first, (Unavailable, Refused))
