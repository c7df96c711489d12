"""What the users of one process share, and when it is closed."""

from __future__ import annotations

import pytest

from transforms.worker.shared import Shared


class Thing:
    """Something that is opened for settings, and closed."""

    def __init__(self, name: str, copies: int = 1) -> None:
        self.name, self.copies, self.is_closed = name, copies, False

    def close(self) -> None:
        self.is_closed = True


def test_the_first_user_opens_it_and_the_last_closes_it() -> None:
    shared = Shared()
    thing = shared.acquire(Thing, "a")
    assert shared.acquire(Thing, "a") is thing
    shared.release(Thing, "a")
    assert not thing.is_closed
    shared.release(Thing, "a")
    assert thing.is_closed
    assert shared.acquire(Thing, "a") is not thing
    with pytest.raises(KeyError):
        shared.release(Thing, "b")


def test_other_settings_have_another() -> None:
    shared = Shared()
    things = [
        shared.acquire(Thing, "a"),
        shared.acquire(Thing, "b"),
        shared.acquire(Thing, "a", copies=2),
        shared.acquire(Thing, "a", copies=3),
    ]
    assert [(thing.name, thing.copies) for thing in things] == [("a", 1), ("b", 1), ("a", 2), ("a", 3)]
    shared.release(Thing, "a", copies=2)
    assert [thing.is_closed for thing in things] == [False, False, True, False]


def test_what_is_opened_may_use_another_thing() -> None:
    shared = Shared()

    def two(name: str) -> tuple[Thing, Thing]:
        return shared.acquire(Thing, name), shared.acquire(Thing, f"{name} too")

    first, second = shared.acquire(two, "a")
    assert first is shared.acquire(Thing, "a")
    assert second.name == "a too"


def test_a_process_that_ends_closes_nothing() -> None:
    shared = Shared()
    thing = shared.acquire(Thing, "a")
    shared.clear()
    assert not thing.is_closed
    assert shared.acquire(Thing, "a") is not thing
