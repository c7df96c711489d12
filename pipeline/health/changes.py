"""One line when something begins to be wrong with a stream, and one when it is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.health.conditions import Condition, duration

_OVER_S = 6.0  # what is gone for so long is over, what is gone for a moment is not


class Changes:
    """Tells by `tell`, once for each condition, however its figures change while it lasts."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._lasting: dict[tuple[str, ...], tuple[float, float, Condition]] = {}  # since when, last seen

    def note(self, conditions: Sequence[Condition], now: float) -> None:
        """Those of now, seconds since the epoch."""
        for condition in conditions:
            since, _, _ = self._lasting.get(condition.key, (now, now, condition))
            if condition.key not in self._lasting:
                self._tell(condition.text)
            self._lasting[condition.key] = since, now, condition
        for key, (since, seen, condition) in list(self._lasting.items()):
            if now - seen >= _OVER_S:
                del self._lasting[key]
                if not any(_is_of_the_same(condition, other) for _, _, other in self._lasting.values()):
                    self._tell(f"{condition.over}, after {duration(max(seen - since, 1.0))}")


def _is_of_the_same(one: Condition, other: Condition) -> bool:
    """Whether what is wrong has become something else that is wrong with the same: then it is not over."""
    return bool(one.of & other.of) or (
        not one.of and one.key[0] == other.key[0] and one.key[0] in ("restart", "state", "room")
    )
