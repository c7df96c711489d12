"""Asks Lift Wing for scores, without Beam: one event loop and one pool of connections for a whole worker process.

The Host header names the service, the body the revision. Each endpoint has a lane of its own with its own limit of calls at once, so that
one that is slow, broken or stopped holds up nobody else. A call is tried once: whoever asked decides what becomes of an error, and where
a request waits until it is asked for again.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from transforms.answers import LiftWingError, NotCalled, Refused, Rejected, Unavailable, Unexpected, read_answer
from transforms.call_limit import CallLimit
from transforms.call_rate import CallRate
from transforms.elements import Score, ScoreRequest
from transforms.environment import REAL, Environment
from transforms.http_calls import HttpAnswer
from transforms.kinds import KINDS, CannotAsk, question
from transforms.lanes import Answer, Call, Lane
from transforms.models import Endpoint, LiftWingSettings

_QUEUED_AT_MOST = 64  # of a lane, beyond those in flight: enough that it never runs dry while others are on their way out of Flink's state
_LOOKS_PER_S = 200  # at broken endpoints, in all: what asking in vain may cost
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.1, 1800.0


class Counts(NamedTuple):
    """What a model is at now, over all its endpoints, in this process."""

    in_flight: int = 0
    queued: int = 0
    waiting: int = 0  # requests that found no room and have not come back
    limit: int = 0  # calls at once that its endpoints would get now
    broken: int = 0  # endpoints that get no calls but a probe now and then


def headers_for(endpoint: Endpoint, settings: LiftWingSettings) -> list[str]:
    headers = ["Content-Type: application/json", "Accept: application/json", "Expect:"]
    if settings.by_host:
        headers.append(f"Host: {endpoint.host}")
    if settings.token:
        headers.append(f"Authorization: Bearer {settings.token}")
    return headers


class LiftWing:
    """The calls of one worker process. `ask`, `seconds_to_wait` and `counts` may be called from any thread."""

    def __init__(self, settings: LiftWingSettings, environment: Environment = REAL) -> None:
        self._settings, self._environment = settings, environment
        self._monotonic = environment.monotonic
        self._lock = threading.Lock()
        self._new: deque[Call] = deque()
        self._awake = False
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()  # lanes with calls to start, in turn
        self._open: set[Call] = set()  # asked and not answered
        self._in_flight = 0
        self._rate = CallRate(settings.calls_per_s)
        self._resting = False
        self._connection = environment.connect(settings.timeout_s, settings.ca_file, self._break)

    def ask(self, endpoint: Endpoint, request: ScoreRequest, done: Callable[[Answer], None]) -> None:
        """Calls as soon as there is room; `done` hears on the loop's thread how that ends."""
        call = Call(endpoint, request, done)
        with self._lock:
            self._open.add(call)
            self._new.append(call)
            if self._awake:
                return
            self._awake = True
        self._connection.run_soon(self._take_new)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Has `action` done on the loop's thread, of which this is called."""
        self._connection.run_later(seconds, action)

    def seconds_to_wait(self, endpoint: Endpoint, waited: int, waits: int = 1) -> float:
        """How long to leave alone so many requests (`waits`) for which there is no room now; 0: ask. `waited`: how many were told so before.

        As many come back in a second as the endpoint can take, or as broken ones may cost in all: to look for room has its price, and a
        million may wait.
        """
        with self._lock:
            lane, now = self._lane(endpoint), self._monotonic()
            lane.waiting = max(0, lane.waiting - waited)
            if lane.limit.is_broken:
                has_room = lane.limit.has_room(0, now) and not lane.queue
            else:
                has_room = lane.in_flight + len(lane.queue) < lane.limit.now + _QUEUED_AT_MOST and len(self._open) < 2 * self._settings.in_flight
            if has_room:
                return 0.0
            lane.waiting += waits
            round_s = min(_LONGEST_WAIT_S, max(_SHORTEST_WAIT_S, self._round_s(lane, now)))
            return lane.limit.seconds_to_probe(now) + round_s * self._environment.uniform(0.5, 1.5)

    def _round_s(self, lane: Lane, now: float) -> float:
        """How long it takes until everybody who waits as this one does has come back once."""
        if not lane.limit.is_broken:
            return lane.waiting / max(1.0, 1.25 * lane.limit.per_second(now))
        return sum(each.waiting for each in self._lanes.values() if each.limit.is_broken) / _LOOKS_PER_S

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
                queued=len(lane.queue),
                waiting=lane.waiting,
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
            )
        return lane

    def _take_new(self) -> None:
        with self._lock:
            taken, self._new, self._awake = self._new, deque(), False
            lanes = [self._lane(call.endpoint) for call in taken]
        for call, lane in zip(taken, lanes, strict=True):
            lane.queue.append(call)
            self._list(lane)
        for lane in set(lanes):
            if lane.limit.is_broken and not lane.listed:
                self._send_away(lane)
        self._start()

    def _list(self, lane: Lane) -> None:
        if lane.queue and not lane.listed and lane.limit.has_room(lane.in_flight, self._monotonic()):
            lane.listed = True
            self._ready.append(lane)

    def _start(self) -> None:
        while self._ready and self._in_flight < self._settings.in_flight and self._may_call():
            lane = self._ready.popleft()
            lane.listed = False
            calls = lane.take()
            try:
                body = question(lane.kind, [call.request for call in calls])
            except CannotAsk as error:
                for call in calls:
                    self._finish(call, Rejected(str(error), "no_question"), 0.0)
            else:
                now = self._monotonic()
                lane.limit.started(now)
                lane.in_flight += 1
                self._in_flight += 1
                self._connection.post(lane.url, lane.headers, body, partial(self._answered, calls, lane, now))
            if lane.limit.is_broken:
                self._send_away(lane)
            self._list(lane)

    def _may_call(self) -> bool:
        """Whether the rate allows another call now; if not, `_start` comes again when it does."""
        wait = self._rate.seconds_to_wait(self._monotonic())
        if wait and not self._resting:
            self._resting = True
            self._connection.run_later(wait, self._go_on)
        return not wait

    def _go_on(self) -> None:
        self._resting = False
        self._start()

    def _send_away(self, lane: Lane) -> None:
        """What waits in memory for a broken endpoint can wait elsewhere."""
        gone, lane.queue = lane.queue, deque()
        for call in gone:
            self._finish(call, NotCalled(lane.last_error), 0.0)

    def _answered(self, calls: list[Call], lane: Lane, started_at: float, answer: HttpAnswer) -> None:
        lane.in_flight -= 1
        self._in_flight -= 1
        try:
            results = read_answer(answer, lane.kind, [call.request for call in calls])
        except LiftWingError as error:
            results = [error] * len(calls)
        first = results[0]
        if isinstance(first, (Unavailable, Refused)):
            lane.last_error = str(first)
            if lane.limit.failed(started_at, self._monotonic(), first.retry_after_s):
                self._send_away(lane)
        else:
            lane.limit.answered(answer.seconds, self._monotonic())
        if len(calls) > 1 and isinstance(first, (Rejected, Unexpected)) and all(result is first for result in results):
            lane.give_back(calls)  # one may have failed them all
        else:
            for call, result in zip(calls, results, strict=True):
                self._finish(call, result, answer.seconds)
        self._list(lane)
        self._start()

    def _break(self, fault: BaseException) -> None:
        """A fault on the loop would leave calls unanswered for ever: so it is the answer to all of them."""
        with self._lock:
            unanswered = list(self._open)
        for call in unanswered:
            self._finish(call, fault, 0.0)

    def _finish(self, call: Call, result: Score | BaseException, seconds: float) -> None:
        with self._lock:
            if call not in self._open:  # a fault answered it before
                return
            self._open.remove(call)
        call.done(Answer(result, seconds))


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
