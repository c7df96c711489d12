"""Lift Wing by its contract: what a call gets, and when, by the state its endpoint is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any
from zlib import crc32

import orjson

from tests.simulator.clock import Clock
from transforms.http.curl_client import HttpAnswer

Done = Callable[[HttpAnswer], None]
OnFault = Callable[[BaseException], None]

HEALTHY, STALLED, HANGING = "healthy", "stalled", "hanging"
GARBAGE = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"<html>",
    b'{"enwiki": 7}',
    b'{"predictions": [null]}',
    b"\xff\xfe",
    b'{"enwiki":{"models":{},"scores":{"1":{"damaging":{"score":{}}}}}}',
    b"[" * 1100 + b"]" * 1100,
)
NESTED = b'{"error":' + b"[" * 1010 + b"]" * 1010 + b"}"


@dataclass(frozen=True)
class Phase:
    """An endpoint's state for a while: `stalled` (it answers what it got when it goes on), `hanging` (it
    never does), `refused` (no connection), `garbage` and `nested` (no answers that make sense), or the status
    that it answers with."""

    what: str
    begins: float
    ends: float
    retry_after_s: float = 0.0


@dataclass
class Service:
    """One service with so many workers, each of which takes a call at a time."""

    name: str
    seconds: float  # that a call takes, in the mean
    workers: int
    phases: Sequence[Phase] = ()
    rejected: float = 0.0  # share of revisions that it will never score
    free_at: list[float] = field(default_factory=list)
    called: list[tuple[float, str]] = field(default_factory=list)  # when, and by which process
    max_batch_size: int = 0  # calls of one process
    # with a score, or the word that there will be none
    answered_at: list[float] = field(default_factory=list)

    def phase(self, now: float) -> Phase | None:
        return next((phase for phase in self.phases if phase.begins <= now < phase.ends), None)

    def taken(self, now: float, seconds: float) -> float:
        """When a call that comes now and takes so long is answered."""
        self.free_at = self.free_at or [now] * self.workers
        first = min(range(self.workers), key=self.free_at.__getitem__)
        begins = max(now, self.free_at[first])
        for phase in self.phases:
            if phase.what == STALLED and phase.begins <= begins + seconds and begins < phase.ends:
                begins = phase.ends
        self.free_at[first] = begins + seconds
        return begins + seconds


class LiftWing:
    """All endpoints, as the workers of a stream reach them."""

    def __init__(
        self, clock: Clock, random: Random, endpoints: Sequence[Service], told: Callable[[str], None]
    ) -> None:
        self.clock, self.random, self._told = clock, random, told
        self.endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self.calls: Counter[tuple[str, int]] = Counter()  # by endpoint and revision
        self.called_at: dict[tuple[str, int], float] = {}

    def service(self, url: str) -> Service:
        return self.endpoints[url.rpartition("/")[2].removesuffix(":predict")]

    def answer(self, endpoint: Service, body: bytes, timeout_s: float) -> tuple[float, HttpAnswer]:
        """What a call that goes out now gets, and after how long."""
        asked = orjson.loads(body)
        revisions = [each["rev_id"] for each in asked.get("instances", [asked])]
        for revision in revisions:
            self.calls[endpoint.name, revision] += 1
            self.called_at.setdefault((endpoint.name, revision), self.clock.now)
        seconds, answer = self._answer(endpoint, asked, revisions, timeout_s)
        self._told(
            f"{endpoint.name} is asked {', '.join(map(str, revisions))}: {answer.status or answer.error} "
            f"after {seconds:.3f} s"
        )
        return seconds, answer

    def _answer(
        self, endpoint: Service, asked: Any, revisions: Sequence[int], timeout_s: float
    ) -> tuple[float, HttpAnswer]:
        now, phase = self.clock.now, endpoint.phase(self.clock.now)
        what = phase.what if phase else HEALTHY
        if what == HANGING:
            return timeout_s, _lost(timeout_s, "Operation timed out", timed_out=True)
        if what == "refused":
            return 0.001, _lost(0.001, "Connection refused")
        if what == "garbage":
            return 0.02, HttpAnswer(200, self.random.choice(GARBAGE), 0.02, 0.0)
        if what == "nested":
            return 0.02, HttpAnswer(500, NESTED, 0.02, 0.0)
        if phase and what.isdigit():
            seconds = self.random.uniform(0.002, 0.02)
            return seconds, HttpAnswer(
                int(what), _error_body(int(what), self.random), seconds, phase.retry_after_s
            )
        seconds = endpoint.taken(now, endpoint.seconds * self.random.lognormvariate(0, 0.4)) - now
        if seconds > timeout_s:
            return timeout_s, _lost(timeout_s, "Operation timed out", timed_out=True)
        endpoint.answered_at.append(now + seconds)
        if "instances" not in asked and is_rejected(endpoint, revisions[0]):
            return seconds, HttpAnswer(400, b'{"error":"Missing data for the revision"}', seconds, 0.0)
        return seconds, HttpAnswer(200, _scores(endpoint, asked, revisions), seconds, 0.0)


def is_rejected(endpoint: Service, revision: int) -> bool:
    """Whether the endpoint will never score this revision."""
    return crc32(f"{endpoint.name} {revision}".encode()) % 1000 < endpoint.rejected * 1000


def _lost(seconds: float, error: str, timed_out: bool = False) -> HttpAnswer:
    return HttpAnswer(0, b"", seconds, 0.0, error, timed_out)


def _error_body(status: int, random: Random) -> bytes:
    bodies = [
        b'{"error": "no healthy upstream"}',
        b"upstream connect error",
        b'{"detail": "try again"}',
        b"\xff",
    ]
    return b'{"error": "MW API error"}' if status == 500 else random.choice(bodies)


def _scores(endpoint: Service, asked: Any, revisions: Sequence[int]) -> bytes:
    probability = {"true": 0.25, "false": 0.75}
    if "instances" in asked:
        told = [
            {
                "revision_id": each,
                "model_version": "3",
                "output": {"prediction": False, "probabilities": probability},
            }
            for each in revisions
            if not is_rejected(endpoint, each)
        ]
        errors = [
            f"Could not make prediction for revision {each} (en)."
            for each in revisions
            if is_rejected(endpoint, each)
        ]
        return orjson.dumps({"predictions": told, "errors": errors})
    if "lang" in asked:
        score = {
            "model_name": endpoint.name,
            "model_version": "3",
            "wiki_db": "enwiki",
            "revision_id": revisions[0],
            "output": {"prediction": False, "probabilities": probability},
        }
        return orjson.dumps({"predictions": [score]})
    wiki, _, model = endpoint.name.partition("-")
    return orjson.dumps(
        {
            wiki: {
                "models": {model: {"version": "0.5.1"}},
                "scores": {
                    str(revisions[0]): {model: {"score": {"prediction": False, "probability": probability}}}
                },
            }
        }
    )


class Connection:
    """What a worker process calls through: transforms.worker.environment.Connection without threads."""

    def __init__(self, lift_wing: LiftWing, process: str, timeout_s: float, on_fault: OnFault) -> None:
        self._lift_wing, self._process, self._timeout_s, self._on_fault = (
            lift_wing,
            process,
            timeout_s,
            on_fault,
        )
        self._is_open = True
        self._calls: Counter[str] = Counter()  # that are out, by service

    def run_soon(self, action: Callable[[], None]) -> None:
        self._lift_wing.clock.after(
            self._lift_wing.random.uniform(0.00002, 0.0005), partial(self._run, action)
        )

    def run_later(self, seconds: float, action: Callable[[], None]) -> None:
        # the resolution of a loop
        self._lift_wing.clock.after(max(0.001, seconds), partial(self._run, action))

    def post(self, url: str, headers: list[str], body: bytes, done: Done) -> None:
        service = self._lift_wing.service(url)
        service.called.append((self._lift_wing.clock.now, self._process))
        self._calls[service.name] += 1
        service.max_batch_size = max(service.max_batch_size, self._calls[service.name])
        seconds, answer = self._lift_wing.answer(service, body, self._timeout_s)
        self._lift_wing.clock.after(
            seconds, partial(self._run, partial(self._answered, service, done, answer))
        )

    def close(self) -> None:
        self._is_open = False

    def _answered(self, service: Service, done: Done, answer: HttpAnswer) -> None:
        self._calls[service.name] -= 1
        done(answer)

    def _run(self, action: Callable[[], None]) -> None:
        if not self._is_open:
            return
        try:
            action()
        except Exception as error:
            self._on_fault(error)
