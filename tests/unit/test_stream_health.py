"""Whether a stream takes events: when it is tried, when it is trusted again, and what one that flaps gets."""

from __future__ import annotations

import pytest

from transforms.delivery.stream_health import StreamHealth


def test_a_stream_that_never_failed_is_healthy() -> None:
    health = StreamHealth()
    health.on_acknowledged(1.0, 0.01)
    health.on_acknowledged(2.0, 30.0)
    assert (health.is_failing(3.0), health.seconds_to_next_try(3.0), health.acknowledges) == (
        False,
        0.0,
        True,
    )


def test_one_that_failed_is_tried_ever_more_seldom() -> None:
    health, now, pauses = StreamHealth(), 0.0, []
    for _ in range(6):
        health.on_try(now)
        health.on_failure(now, "Broker: Topic authorization failed")
        pauses.append(health.seconds_to_next_try(now))
        now += pauses[-1]
        assert health.seconds_to_next_try(now) == 0
    assert pauses == [1, 2, 4, 8, 10, 10]
    assert (health.is_failing(now), health.acknowledges, health.reason) == (
        True,
        False,
        "Broker: Topic authorization failed",
    )


def test_while_one_event_tries_no_other_does() -> None:
    health = StreamHealth()
    health.on_failure(0.0, "")
    assert health.seconds_to_next_try(1.0) == 0
    health.on_try(1.0)
    assert health.seconds_to_next_try(1.0) == 2


def test_it_is_healthy_when_it_has_stood_its_trial() -> None:
    health = StreamHealth()
    health.on_failure(0.0, "")
    health.on_acknowledged(10.0, 0.01)
    assert (health.is_failing(11.9), health.acknowledges, health.seconds_to_next_try(10.0)) == (
        True,
        True,
        0.0,
    )
    assert not health.is_failing(12.0)


def test_one_that_acknowledges_slowly_gets_events_and_no_trust() -> None:
    health = StreamHealth()
    health.on_failure(0.0, "")
    for second in range(10, 100):
        health.on_acknowledged(float(second), 2.0)
    assert (health.is_failing(1_000.0), health.acknowledges, health.seconds_to_next_try(100.0)) == (
        True,
        True,
        0.0,
    )
    health.on_acknowledged(1_000.0, 0.01)
    assert not health.is_failing(1_002.0)


def trial_s(health: StreamHealth, now: float) -> float:
    health.on_acknowledged(now, 0.01)
    return next(tenth / 10 for tenth in range(10_000) if not health.is_failing(now + tenth / 10))


def test_one_that_flaps_is_trusted_ever_later_until_it_was_steady() -> None:
    health, now, trials = StreamHealth(), 0.0, []
    for _ in range(9):
        health.on_failure(now, "")
        trials.append(trial_s(health, now + 1))
        now += 1 + trials[-1] + 60
    assert trials == pytest.approx([2, 4, 8, 16, 32, 64, 128, 256, 300])
    health.on_failure(now + 601, "")
    assert trial_s(health, now + 602) == 2
