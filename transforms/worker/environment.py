"""What a worker takes from the machine it runs on, as one argument: time, randomness, ids, and a connection
to send calls over.

A simulation passes an environment of its own and repeats a run from a seed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep, time
from typing import Any, Protocol
from uuid import uuid4

import uvloop

from transforms.http.curl_client import HttpAnswer, HttpCalls

OnFault = Callable[[BaseException], None]


class Connection(Protocol):
    """Runs callbacks one at a time on a thread of its own, and makes HTTP calls there."""

    def run_soon(self, action: Callable[[], None]) -> None:
        """Runs `action` on the connection's thread. May be called from any thread."""

    def run_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Runs `action` after so many seconds. Called on the connection's thread, as is `post`."""

    def post(self, url: str, headers: list[str], body: bytes, done: Callable[[HttpAnswer], None]) -> None:
        """Sends a POST and passes its answer to `done`."""

    def close(self) -> None:
        """Drops what is in flight and ends the thread."""


class CurlConnection:
    """A Connection by libcurl on an event loop in a thread. Exceptions of callbacks are passed to
    `on_fault`."""

    def __init__(self, timeout_s: float, ca_file: str | None, on_fault: OnFault) -> None:
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(lambda _loop, context: on_fault(_exception_of(context)))
        self._http = HttpCalls(self._loop, timeout_s, ca_file)
        self.post = self._http.post
        self._thread = threading.Thread(target=self._loop.run_forever, name="lift-wing", daemon=True)
        self._thread.start()

    def run_soon(self, action: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(action)

    def run_later(self, seconds: float, action: Callable[[], None]) -> None:
        self._loop.call_later(seconds, action)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()
        self._loop.close()

    def _stop(self) -> None:
        self._http.close()
        self._loop.stop()


def _exception_of(context: dict[str, Any]) -> BaseException:
    exception = context.get("exception")
    return exception if isinstance(exception, BaseException) else RuntimeError(context["message"])


def _uniform(low: float, high: float) -> float:
    return random.uniform(low, high)


def _new_id() -> str:
    return uuid4().hex


@dataclass(frozen=True)
class Environment:
    """The functions a worker calls for all that is not in its input. The default is the real machine."""

    time: Callable[[], float] = time  # seconds since the epoch
    monotonic: Callable[[], float] = monotonic  # seconds
    sleep: Callable[[float], None] = sleep
    new_event: Callable[[], threading.Event] = threading.Event  # what one thread waits for and another sets
    uniform: Callable[[float, float], float] = _uniform  # a random number between two
    new_id: Callable[[], str] = _new_id
    # timeout in seconds, CA file, receiver of faults
    connect: Callable[[float, str | None, OnFault], Connection] = CurlConnection


REAL = Environment()
