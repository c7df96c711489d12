"""A problem is told once, and once when it is over."""

from __future__ import annotations

from pipeline.health.notifier import Notifier
from pipeline.health.problems import Problem

NOW = 1_700_000_000.0


def test_what_becomes_something_else_of_the_same_is_not_over() -> None:
    told: list[str] = []
    notifier = Notifier(told.append)
    silent = Problem(
        ("model", "a", "silent", "timeout"), "ill", "a is silent", "a is well again", frozenset("a")
    )
    broken = Problem(
        ("model", "a", "broken", "timeout"), "ill", "a is broken", "a is well again", frozenset("a")
    )
    notifier.update([silent], NOW)
    for at in (3, 6, 9, 12):
        notifier.update([broken], NOW + at)
    notifier.update([], NOW + 20)
    assert told == ["a is silent", "a is broken", "a is well again, after 9 s"]


def test_each_problem_is_told_once_and_once_when_it_is_over() -> None:
    told: list[str] = []
    notifier = Notifier(told.append)

    def note(at: float, *texts: str) -> None:
        notifier.update(
            [Problem(("kafka",), "stopped", text, "Kafka answers again") for text in texts], NOW + at
        )

    note(0, "Kafka is away: 1")
    note(3, "Kafka is away: 2")
    note(6)
    note(9, "Kafka is away: 3")
    note(70)
    note(73)
    assert told == ["Kafka is away: 1", "Kafka answers again, after 9 s"]
