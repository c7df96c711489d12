"""What every sink counts of the scores that are written."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime

from apache_beam.metrics import Metrics

from transforms.elements import ScoreRequest
from transforms.recent import Recent


def timestamp_ms(dt: str) -> int:
    return round(datetime.fromisoformat(dt.replace("Z", "+00:00")).timestamp() * 1000)


class Written:
    """Counts scores by model, and how long after their edit's event they were written."""

    def __init__(self) -> None:
        self._lag = Recent("WritePerModel", "lag_ms")

    def count(self, requests: Iterable[ScoreRequest]) -> None:
        for request in requests:
            Metrics.counter("WritePerModel", f"events_{request.model}").inc()
            if (lag := _lag_ms(request)) is not None:
                self._lag.add(request.model, lag)
        self._lag.tell()


def _lag_ms(request: ScoreRequest) -> int | None:
    """How long ago the event was produced from which a score has come; None when the event does not tell."""
    try:
        return round(time.time() * 1000) - timestamp_ms(request.event.raw["meta"]["dt"])
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError):  # it was never checked, as it does not go out
        return None
