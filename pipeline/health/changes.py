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
                self._tell(f"{condition.over}, after {duration(seen - since)}")
