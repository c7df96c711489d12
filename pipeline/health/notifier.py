"""One line when something begins to be wrong with a stream, and one when it is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.health.problems import Problem
from pipeline.times import duration

_OVER_S = 6.0  # what is gone for so long is over, what is gone for a moment is not


class Notifier:
    """Calls `tell` with a line when a problem begins, however its figures change, and with one when it is
    over."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._lasting: dict[tuple[str, ...], tuple[float, float, Problem]] = {}  # since when, last seen

    def update(self, problems: Sequence[Problem], now: float) -> None:
        """Takes the problems of now, seconds since the epoch."""
        for problem in problems:
            since, _, _ = self._lasting.get(problem.key, (now, now, problem))
            if problem.key not in self._lasting:
                self._tell(problem.text)
            self._lasting[problem.key] = since, now, problem
        for key, (since, seen, problem) in list(self._lasting.items()):
            if now - seen >= _OVER_S:
                del self._lasting[key]
                if not any(_is_of_the_same(problem, other) for _, _, other in self._lasting.values()):
                    self._tell(f"{problem.over}, after {duration(max(seen - since, 1.0))}")


def _is_of_the_same(one: Problem, other: Problem) -> bool:
    """Returns whether a problem has become another of the same models or of the same kind: then it is not
    over."""
    return bool(one.models & other.models) or (
        not one.models and one.key[0] == other.key[0] and one.key[0] in ("restart", "state", "room")
    )
