"""How long requests of an endpoint without room sleep, and that all of them get their turn in time."""

from __future__ import annotations

import heapq
from collections import deque
from random import Random

import pytest

from transforms.lift_wing.waitlist import Throughput, Waitlist

NOW = 1_700_000_000.0


def test_counts_are_exact() -> None:
    waitlist = Waitlist()
    for entered_at, requests in ((NOW, 3), (NOW + 100, 2), (NOW + 3, 1)):
        waitlist.add(entered_at, requests)
    assert (waitlist.total, waitlist.ahead_of(NOW + 100), waitlist.ahead_of(NOW)) == (6, 4, 0)
    waitlist.remove(NOW, 3)
    waitlist.remove(NOW + 3, 0)
    assert (waitlist.total, waitlist.ahead_of(NOW + 100)) == (3, 1)


def test_the_first_in_line_sleep_an_eighth_of_the_last() -> None:
    waitlist = Waitlist()
    waitlist.add(NOW, 400)
    waitlist.add(NOW + 100, 400)
    assert waitlist.sleep_s(NOW, 20.0) == pytest.approx(101 / 25)
    assert waitlist.sleep_s(NOW + 200, 20.0) == pytest.approx(901 / 25)
    assert waitlist.sleep_s(NOW, 1e9) == 0.1


def test_an_endpoint_that_falls_silent_keeps_its_rate() -> None:
    throughput = Throughput()
    assert throughput.per_s == 0
    for second in range(120):
        throughput.count(second, 20)
    assert throughput.per_s == 20
    throughput.count(10_000, 20)
    assert throughput.per_s == pytest.approx((5 * 200 + 20) / 60)


class Endpoint:
    """An endpoint that takes `rate` calls a second, of which every second place is for those that have
    waited, and those that sleep until they look for room again. Time goes by tenths of a second."""

    def __init__(self, rate: float, seed: int) -> None:
        self._rate, self._random, self._waitlist = rate, Random(seed), Waitlist()
        self.asleep: list[tuple[float, float]] = []  # when to wake, when entered; a heap
        self._queued: deque[float] = deque()
        self._places = 0.0

    def sleep(self, now: float, entered_at: float) -> None:
        self._waitlist.add(entered_at, 1)
        heapq.heappush(
            self.asleep,
            (
                now + self._waitlist.sleep_s(entered_at, self._rate) * self._random.uniform(0.8, 1.2),
                entered_at,
            ),
        )

    def look(self, now: float, is_silent: bool) -> None:
        """All that wake now look for room in a queue of 64."""
        while self.asleep and self.asleep[0][0] <= now:
            _, entered_at = heapq.heappop(self.asleep)
            self._waitlist.remove(entered_at, 1)
            if not is_silent and len(self._queued) < 64 * self._waitlist.share_behind(entered_at):
                self._queued.append(entered_at)
            else:
                self.sleep(now, entered_at)

    def call(self, new: int) -> tuple[int, list[float]]:
        """Takes calls for a tenth of a second. Returns how many of the new ones are taken, and when the
        others entered."""
        self._places = min(self._places + self._rate / 10, 64)
        called, taken = [], 0
        while self._places >= 1 and (self._queued or taken < new):
            self._places -= 1
            if self._queued and (len(called) <= taken or taken == new):
                called.append(self._queued.popleft())
            else:
                taken += 1
        return taken, called


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("rate", "arrivals", "stall_s"), [(30.0, 20.0, 40), (30.0, 29.0, 40), (100.0, 50.0, 10), (3.0, 2.9, 300)]
)
def test_all_that_waited_is_called_within_the_bound(
    rate: float, arrivals: float, stall_s: int, seed: int
) -> None:
    endpoint, now, due = Endpoint(rate, seed), NOW, 0.0
    for _ in range(stall_s * 10):
        now, due = now + 0.1, due + arrivals / 10
        while due >= 1:
            due -= 1
            endpoint.sleep(now, now)
        endpoint.look(now, is_silent=True)
    waited = {entered_at: 0 for _, entered_at in endpoint.asleep}
    left, back = len(endpoint.asleep), now
    bound_s = left / max(rate - arrivals, rate / 2) * 1.5 + 5
    while left:
        assert now - back <= bound_s, f"{left} of those that waited were not called"
        now, due = now + 0.1, due + arrivals / 10
        endpoint.look(now, is_silent=False)
        taken, called = endpoint.call(int(due))
        left -= sum(entered_at in waited for entered_at in called)
        for _ in range(int(due) - taken):
            endpoint.sleep(now, now)
        due %= 1
