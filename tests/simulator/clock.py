"""A virtual clock: what is due on it runs one at a time, in an order that the seed alone decides, and threads
take turns by sleeping."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from greenlet import GreenletExit, getcurrent, greenlet

EPOCH = 1_700_000_000.0  # what the clock shows when a run begins, in seconds since the epoch


class Clock:
    """Runs actions at their times. Time passes only between them."""

    def __init__(self) -> None:
        self.now = EPOCH
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()  # what is due at one time runs in the order in which it was asked for

    def time(self) -> float:
        return self.now

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + max(0.0, seconds), next(self._numbers), action))

    def run(self, until: float, done: Callable[[], bool]) -> None:
        """Runs what is due until that time, or until `done`."""
        while self._due and self._due[0][0] <= until and not done():
            self.now, _, action = heapq.heappop(self._due)
            action()


class Thread:
    """A thread of the simulation. It runs until it waits, and cannot be interrupted between."""

    def __init__(self, clock: Clock, run: Callable[[], None]) -> None:
        self._clock, self._main = clock, getcurrent()
        self._greenlet = greenlet(run)
        self._turn = 0  # which of its waits it is in, so that it is woken once from each
        self._can_be_woken = False
        clock.after(0.0, self._go_on(self._turn))

    @property
    def is_current(self) -> bool:
        return getcurrent() is self._greenlet

    def sleep(self, seconds: float) -> None:
        """Lets time pass. Called in the thread."""
        self._clock.after(seconds, self._go_on(self._turn))
        self._wait()

    def wait(self, seconds: float | None = None) -> None:
        """Returns when somebody calls `wake`, or after so many seconds. Called in the thread."""
        if seconds is not None:
            self._clock.after(seconds, self._go_on(self._turn))
        self._can_be_woken = True
        self._wait()
        self._can_be_woken = False

    def wake(self) -> None:
        """Ends a `wait`, soon."""
        if self._can_be_woken:
            self._clock.after(0.0, self._go_on(self._turn))

    def kill(self) -> None:
        """Ends the thread where it is. Called outside of it, or by itself as its last act."""
        if getcurrent() is self._greenlet:
            raise GreenletExit
        self._turn = -1
        if not self._greenlet.dead:
            self._greenlet.throw(GreenletExit)

    def _wait(self) -> None:
        self._main.switch()

    def _go_on(self, turn: int) -> Callable[[], None]:
        def go_on() -> None:
            if turn == self._turn and not self._greenlet.dead:
                self._turn += 1
                self._greenlet.switch()

        return go_on
