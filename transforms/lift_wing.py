"""Asks Lift Wing for scores, without Beam: one event loop and one pool of connections for a whole worker process.

    LiftWingError
    ├── Rejected      the revision or the model will never score: 400, 404, 422, or a 200 without the score asked for
    ├── Unavailable   worth another try: 429, 502, 503, 504, connection, timeout, a 500 that speaks of MediaWiki or EventGate
    └── Unexpected    any other 5xx: three tries

The contract is that of wikimedia/machinelearning-liftwing-inference-services: the Host header names the service, the body the
revision. Each endpoint has its own limit of calls at once, so that a slow one holds up nobody else.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
import uvloop

from transforms.elements import Score
from transforms.http_calls import HttpAnswer, HttpCalls
from transforms.models import Endpoint, LiftWingSettings

_TRIES_OF_UNEXPECTED = 3
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 60.0
_OF_ANOTHER_SERVICE = re.compile(rb"mediawiki|eventgate", re.IGNORECASE)


class LiftWingError(Exception):
    """Lift Wing gave no score; the text says what it answered."""


class Rejected(LiftWingError):
    """Trying again cannot help."""


class Unavailable(LiftWingError):
    """Worth another try, at the earliest after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unexpected(LiftWingError):
    """An error of which nothing is known."""


def read_answer(answer: HttpAnswer, endpoint: Endpoint, rev_id: int) -> Score:
    """The score in an answer. Raises the LiftWingError that says what may be done about its absence."""
    if answer.status == 200:
        return _score(answer.body, endpoint, rev_id)
    if answer.status == 0:
        raise Unavailable(f"no answer: {answer.error}")
    text = f"{answer.status}: {_excerpt(answer.body)}"
    if answer.status in (429, 502, 503, 504):
        raise Unavailable(text, answer.retry_after_s)
    if answer.status == 500 and _OF_ANOTHER_SERVICE.search(answer.body):
        raise Unavailable(text)
    if answer.status >= 500:
        raise Unexpected(text)
    raise Rejected(text)


def _score(body: bytes, endpoint: Endpoint, rev_id: int) -> Score:
    try:
        of_wiki = orjson.loads(body)[endpoint.wiki]
        score = of_wiki["scores"][str(rev_id)][endpoint.model]["score"]
        return Score(of_wiki["models"][endpoint.model]["version"], score["prediction"], score["probability"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Rejected(f"200 without the score of revision {rev_id}: {_excerpt(body)}") from error


def _excerpt(body: bytes) -> str:
    """The message of an error body in either of Lift Wing's two shapes, else its beginning."""
    text = body[:2000].decode("utf-8", "replace")
    with suppress(orjson.JSONDecodeError):
        parsed = orjson.loads(body)
        if isinstance(parsed, dict):
            text = str(parsed.get("error") or parsed.get("detail") or text)
    return " ".join(text.split())[:500] or "(empty body)"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended: the score, or the error that no further try can change."""

    result: Score | Exception  # a LiftWingError, or a fault of this code that the runner must see
    seconds: float  # of the last try
    tries: int


@dataclass(eq=False, slots=True)
class Call:
    """One revision asked of one endpoint, by however many requests."""

    endpoint: Endpoint
    rev_id: int
    asked_at: float  # seconds since the epoch
    tries: int = 0
    answer: Answer | None = None
    listeners: list[Callable[[Answer], None]] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class _Lane:
    """The calls of one endpoint: those that wait and how many are out."""

    url: str
    headers: list[str]
    limit: int
    waiting: deque[Call] = field(default_factory=deque)
    in_flight: int = 0
    listed: bool = False


class LiftWing:
    """The calls of one worker process. `ask` may be called from any thread; listeners are called on the loop's thread."""

    def __init__(self, settings: LiftWingSettings) -> None:
        self._settings = settings
        self._calls: dict[tuple[str, int], Call] = {}
        self._lock = threading.Lock()
        self._new: deque[Call] = deque()
        self._awake = False
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[_Lane] = deque()  # lanes with calls to start, in turn
        self._in_flight = 0
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(self._break)
        self._http = HttpCalls(self._loop, settings.timeout_s, settings.ca_file)
        self._thread = threading.Thread(target=self._loop.run_forever, name="lift-wing", daemon=True)
        self._thread.start()

    def ask(self, endpoint: Endpoint, rev_id: int, listener: Callable[[Answer], None] | None = None, asked_at: float | None = None) -> Call:
        """The call for this revision: the one already asked, answered or not, else a new one."""
        with self._lock:
            call = self._calls.get((endpoint.name, rev_id))
            if call is None:
                call = self._calls[endpoint.name, rev_id] = Call(endpoint, rev_id, asked_at or time.time())
                self._new.append(call)
                if not self._awake:
                    self._awake = True
                    self._loop.call_soon_threadsafe(self._take_new)
            if listener:
                if call.answer is None:
                    call.listeners.append(listener)
                else:
                    listener(call.answer)
        return call

    def forget(self, endpoint: Endpoint, rev_id: int) -> None:
        """Whoever took an answer away says so; the next `ask` calls again."""
        with self._lock:
            self._calls.pop((endpoint.name, rev_id), None)

    def close(self) -> None:
        def stop() -> None:
            self._http.close()
            self._loop.stop()

        self._loop.call_soon_threadsafe(stop)
        self._thread.join()
        self._loop.close()

    def _take_new(self) -> None:
        with self._lock:
            taken, self._new, self._awake = self._new, deque(), False
        for call in taken:
            self._enqueue(call)
        self._start()

    def _enqueue(self, call: Call) -> None:
        endpoint = call.endpoint
        lane = self._lanes.get(endpoint.name)
        if lane is None:
            lane = self._lanes[endpoint.name] = _Lane(
                url=self._settings.url.rstrip("/") + endpoint.path,
                headers=[f"Host: {endpoint.host}", "Content-Type: application/json", "Accept: application/json", "Expect:"],
                limit=endpoint.concurrency,
            )
        lane.waiting.append(call)
        self._list(lane)

    def _list(self, lane: _Lane) -> None:
        if lane.waiting and not lane.listed and lane.in_flight < lane.limit:
            lane.listed = True
            self._ready.append(lane)

    def _start(self) -> None:
        while self._ready and self._in_flight < self._settings.in_flight:
            lane = self._ready.popleft()
            lane.listed = False
            call = lane.waiting.popleft()
            call.tries += 1
            lane.in_flight += 1
            self._in_flight += 1
            self._http.post(lane.url, lane.headers, b'{"rev_id": %d}' % call.rev_id, partial(self._answered, call, lane))
            self._list(lane)

    def _answered(self, call: Call, lane: _Lane, answer: HttpAnswer) -> None:
        lane.in_flight -= 1
        self._in_flight -= 1
        self._list(lane)
        try:
            self._finish(call, read_answer(answer, call.endpoint, call.rev_id), answer.seconds)
        except LiftWingError as error:
            wait = self._seconds_to_wait(call, error)
            if wait is None:
                self._finish(call, error, answer.seconds)
            else:
                self._loop.call_later(wait, self._again, call)
        self._start()

    def _seconds_to_wait(self, call: Call, error: LiftWingError) -> float | None:
        """How long before the next try; None: there is none."""
        if isinstance(error, Rejected) or (isinstance(error, Unexpected) and call.tries >= _TRIES_OF_UNEXPECTED):
            return None
        backoff = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(call.tries - 1, 10)) * random.uniform(0.5, 1.0)
        wait = max(backoff, error.retry_after_s if isinstance(error, Unavailable) else 0.0)
        return wait if time.time() + wait - call.asked_at <= self._settings.max_age_s else None

    def _again(self, call: Call) -> None:
        self._enqueue(call)
        self._start()

    def _break(self, _loop: object, context: dict[str, Any]) -> None:
        """A fault on the loop would leave calls unanswered for ever: so it is the answer to all of them."""
        fault = context.get("exception") or RuntimeError(context["message"])
        with self._lock:
            unanswered = [call for call in self._calls.values() if call.answer is None]
        for call in unanswered:
            self._finish(call, fault, 0.0)

    def _finish(self, call: Call, result: Score | Exception, seconds: float) -> None:
        with self._lock:
            call.answer = Answer(result, seconds, call.tries)
            listeners, call.listeners = call.listeners, []
        for listener in listeners:
            listener(call.answer)


class SharedLiftWing:
    """The one LiftWing of this process for given settings: opened by the first user, closed by the last."""

    _open: dict[LiftWingSettings, tuple[LiftWing, int]] = {}
    _lock = threading.Lock()

    @classmethod
    def acquire(cls, settings: LiftWingSettings) -> LiftWing:
        with cls._lock:
            lift_wing, users = cls._open.get(settings) or (LiftWing(settings), 0)
            cls._open[settings] = (lift_wing, users + 1)
            return lift_wing

    @classmethod
    def release(cls, settings: LiftWingSettings) -> None:
        with cls._lock:
            lift_wing, users = cls._open.pop(settings)
            if users > 1:
                cls._open[settings] = (lift_wing, users - 1)
            else:
                lift_wing.close()
