"""The bound on calls a second: arithmetic on given times."""

from __future__ import annotations

import pytest

from transforms.lift_wing.rate_limiter import RateLimiter


def test_without_a_bound_nobody_waits() -> None:
    assert [RateLimiter(None).try_acquire(now) for now in (0.0, 0.0, 0.0)] == [0.0, 0.0, 0.0]


def test_after_a_pause_no_more_may_be_called_at_once_than_a_tenth_of_a_second_brings() -> None:
    rate = RateLimiter(20)
    assert [rate.try_acquire(1000.0) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.05)]


def test_who_is_told_to_wait_may_call_then_and_was_not_counted_before() -> None:
    rate = RateLimiter(2)
    assert rate.try_acquire(1000.0) == 0.0
    assert [rate.try_acquire(1000.1) for _ in range(3)] == [pytest.approx(0.3)] * 3
    assert rate.try_acquire(1000.4) == 0.0


def test_over_a_long_time_there_are_as_many_as_the_bound_says() -> None:
    rate, now, calls = RateLimiter(50), 0.0, 0
    while now < 100:
        wait = rate.try_acquire(now)
        calls += not wait
        now += wait
    assert calls == pytest.approx(100 * 50, abs=6)
