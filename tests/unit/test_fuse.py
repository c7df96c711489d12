"""When so many elements meet an exception that the fault is not theirs."""

from __future__ import annotations

import pytest

from transforms.worker.fuse import Fuse, is_of_an_element

FAULT = ZeroDivisionError("nobody thought of that")


class Clock:
    """Seconds that pass only where a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def fuse() -> tuple[Fuse, Clock]:
    clock = Clock()
    return Fuse("Step", clock), clock


def test_twenty_different_elements_in_a_row_are_failures_and_the_next_is_none() -> None:
    step, _ = fuse()
    assert [step.record_error(str(number), FAULT) for number in range(22)] == [True] * 20 + [False] * 2
    assert step.blown == "20 different elements in a row"


def test_the_same_element_again_and_again_is_one() -> None:
    step, _ = fuse()
    assert all(step.record_error("the same", FAULT) for _ in range(1000))


def test_one_that_passes_begins_the_row_anew_and_makes_the_fuse_whole() -> None:
    step, clock = fuse()
    for _ in range(30):
        assert all(step.record_error(str(number), FAULT) for number in range(19))
        step.record_success()
        clock.now += 61
    assert [step.record_error(f"x{number}", FAULT) for number in range(21)][-1] is False
    step.record_success()
    assert not step.blown
    assert step.record_error("y", FAULT)


@pytest.mark.parametrize(("share", "blows"), [(0.04, False), (0.06, True)])
def test_a_twentieth_of_a_minute_is_too_much(share: float, blows: bool) -> None:
    step, clock = fuse()
    due = 0.0
    for number in range(5_000):
        clock.now += 0.01
        due += share
        if due >= 1:
            due -= 1
            step.record_error(str(number), FAULT)
        else:
            step.record_success()
        if step.blown:
            break
    assert bool(step.blown) == blows
    if blows:
        assert step.blown == "20 different elements of the 349 of a minute"


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    """Twenty an hour are no fault of all, however few elements there are."""
    step, clock = fuse()
    for number in range(200):
        clock.now += 180
        assert step.record_error(str(number), FAULT)
        step.record_success()


@pytest.mark.parametrize(
    ("error", "of_an_element"),
    [(FAULT, True), (RecursionError(), True), (MemoryError(), False), (KeyboardInterrupt(), False)],
)
def test_what_the_process_meets_is_of_no_element(error: BaseException, of_an_element: bool) -> None:
    assert is_of_an_element(error) == of_an_element
    step, _ = fuse()
    assert step.record_error("x", error) == of_an_element
