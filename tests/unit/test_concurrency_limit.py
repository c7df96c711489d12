"""The limit of calls at once and its breaker: times are given, nothing waits."""

from __future__ import annotations

import math
import random
from functools import partial
from random import Random

import pytest

from transforms.lift_wing import concurrency_limit

ConcurrencyLimit = partial(concurrency_limit.ConcurrencyLimit, uniform=random.uniform)


def fail(limit: concurrency_limit.ConcurrencyLimit, times: int, at: float) -> list[bool]:
    """So many calls that go out at a time and fail at once, one after the other."""
    told = []
    for _ in range(times):
        limit.breaker.on_start()
        told.append(limit.on_failure(at, at))
    return told


def test_it_begins_with_what_is_configured_and_never_exceeds_it() -> None:
    limit = ConcurrencyLimit(12)
    for _ in range(1000):
        limit.on_success(0.1, 1.0)
    assert (limit.current, limit.has_room(11, 1.0), limit.has_room(12, 1.0)) == (12, True, False)


def test_calls_that_were_out_together_shrink_it_once() -> None:
    limit = ConcurrencyLimit(10)
    for at in (5.0, 5.1, 5.2):
        limit.on_failure(started_at=4.0, now=at)
    assert limit.current == 7
    limit.on_failure(started_at=5.3, now=5.4)
    assert limit.current == 4


def test_it_grows_by_one_for_each_round_of_answers() -> None:
    limit = ConcurrencyLimit(10)
    limit.on_failure(4.0, 5.0)
    for _ in range(7):
        limit.on_success(0.1, 6.0)
    assert limit.current == 7
    for _ in range(12):
        limit.on_success(0.1, 6.0)
    assert limit.current == 9
    for _ in range(100):
        limit.on_success(0.1, 6.0)
    assert limit.current == 10


def test_it_never_shrinks_below_one_call() -> None:
    limit = ConcurrencyLimit(3)
    for second in range(100):
        limit.on_failure(second, second)
        limit.on_success(0.1, second)
    assert limit.current >= 1


def test_five_failures_in_a_row_break_it() -> None:
    limit = ConcurrencyLimit(10)
    assert fail(limit, 5, 1.0) == [False, False, False, False, True]
    assert limit.is_broken
    assert not limit.has_room(0, 1.0)


def test_an_answer_between_keeps_it_whole() -> None:
    limit = ConcurrencyLimit(10)
    fail(limit, 4, 1.0)
    limit.on_success(0.1, 1.0)
    assert fail(limit, 4, 1.0) == [False] * 4
    assert not limit.is_broken


def test_after_a_pause_it_takes_one_probe() -> None:
    limit = ConcurrencyLimit(10)
    fail(limit, 5, 100.0)
    assert 0.75 <= limit.breaker.seconds_to_probe(100.0) <= 1.0
    assert limit.has_room(10, 101.0), "calls that hang from before take nobody's place"
    limit.breaker.on_start()
    assert not limit.has_room(0, 102.0)
    assert not limit.on_failure(started_at=99.0, now=102.0), "a call from before says nothing new"
    assert not limit.has_room(0, 102.0)


@pytest.mark.parametrize(("probes", "least", "most"), [(1, 1.5, 2), (2, 3, 4), (5, 22.5, 30), (50, 22.5, 30)])
def test_each_probe_in_vain_doubles_the_pause(probes: int, least: float, most: float) -> None:
    limit, now = ConcurrencyLimit(10), 100.0
    fail(limit, 5, now)
    for _ in range(probes):
        now += limit.breaker.seconds_to_probe(now)
        limit.breaker.on_start()
        limit.on_failure(now, now)
    assert least <= limit.breaker.seconds_to_probe(now) <= most


def test_a_pause_that_was_asked_for_is_kept() -> None:
    limit = ConcurrencyLimit(10)
    fail(limit, 4, 1.0)
    limit.breaker.on_start()
    limit.on_failure(1.0, 1.0, retry_after_s=120)
    assert limit.breaker.seconds_to_probe(1.0) == 120


def test_when_it_is_back_it_begins_with_one_call_and_doubles() -> None:
    limit = ConcurrencyLimit(40)
    fail(limit, 5, 1.0)
    limit.breaker.on_start()
    limit.on_success(0.1, 2.5)
    rounds = [limit.current]
    for _ in range(4):
        for _ in range(limit.current):
            limit.on_success(0.1, 3.0)
        rounds.append(limit.current)
    assert rounds == [1, 2, 4, 8, 16]
    for _ in range(1000):
        limit.on_success(0.1, 4.0)
    assert limit.current == 40
    fail(limit, 5, 5.0)
    assert limit.breaker.seconds_to_probe(5.0) <= 1.0, "the next pause is short again"


def answers(limit: concurrency_limit.ConcurrencyLimit, count: int, seconds: float, begin: float) -> None:
    """One a second."""
    for index in range(count):
        limit.on_success(seconds, begin + index)


def test_it_gives_way_while_answers_take_much_longer_down_to_half() -> None:
    limit = ConcurrencyLimit(20)
    answers(limit, 500, 0.5, 0.0)
    answers(limit, 10, 1.5, 1000.0)
    assert limit.current == 20, "not for a few"
    answers(limit, 15, 1.5, 1100.0)
    assert 10 < limit.current < 20
    answers(limit, 50, 1.5, 1200.0)
    assert limit.current == 10
    answers(limit, 300, 0.5, 2000.0)
    assert limit.current == 20


def test_slow_answers_that_were_out_together_shrink_it_once() -> None:
    limit = ConcurrencyLimit(20)
    answers(limit, 500, 0.5, 0.0)
    for _ in range(100):
        limit.on_success(5.0, 1000.0)
    assert limit.current == 18


def test_what_is_slow_for_long_is_usual() -> None:
    limit = ConcurrencyLimit(20)
    answers(limit, 500, 0.5, 0.0)
    answers(limit, 2000, 1.5, 1000.0)
    assert limit.current == 20


def test_a_long_tail_is_no_rise() -> None:
    limit, random = ConcurrencyLimit(20), Random(1)
    for second in range(10_000):
        # as on staging: p50 0.48, p99 6.5 s
        limit.on_success(random.lognormvariate(math.log(0.48), 1.12), second)
        assert limit.current == 20


def test_what_it_can_take_in_a_second() -> None:
    limit = ConcurrencyLimit(10)
    assert limit.per_second == 20, "half a second a call until there is an answer"
    limit.breaker.on_start()
    limit.on_success(0.05, 0.05)
    assert limit.per_second == pytest.approx(200), "the first answer tells"
    for second in range(200):
        limit.on_success(0.25, second + 0.5)
    assert limit.per_second == pytest.approx(40, rel=0.01)
    for _ in range(5):
        limit.on_success(25.0, 300.0)
    assert limit.per_second > 35, "five calls that a stall held up"


def test_an_endpoint_that_refuses_everybody_is_broken_and_gets_a_probe() -> None:
    limit = ConcurrencyLimit(10)
    limit.breaker.on_start()
    assert [limit.breaker.on_refusal(100.1), limit.breaker.on_refusal(100.1)] == [False, False]
    limit.on_success(0.1, 100.3)
    assert [limit.breaker.on_refusal(100.4), limit.breaker.on_refusal(100.4)] == [False, False], (
        "the row began anew"
    )
    limit.on_success(0.5, 100.5)
    assert limit.breaker.on_refusal(100.5) is True, "what went out before says nothing"
    assert (limit.is_broken, limit.breaker.is_refusing, limit.has_room(0, 100.6)) == (True, True, False)
    pauses = []
    for _ in range(8):
        probe_at = 100.6 + limit.breaker.seconds_to_probe(100.6)
        assert limit.has_room(0, probe_at)
        limit.breaker.on_start()
        limit.breaker.on_refusal(probe_at)
        pauses.append(limit.breaker.seconds_to_probe(probe_at))
    assert 1.4 < pauses[0] <= 2
    assert 22 < pauses[-1] <= 30
    limit.breaker.on_start()
    limit.on_success(0.1, probe_at + 31.1)
    assert (limit.is_broken, limit.breaker.is_refusing) == (False, False)


def test_a_limit_of_nothing_is_broken_for_ever() -> None:
    limit = ConcurrencyLimit(0)
    assert (limit.is_broken, limit.has_room(0, 1e9), limit.current) == (True, False, 0)
