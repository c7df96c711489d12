"""The metrics of every sink: scores that are written, and scores that are refused."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import datetime

from apache_beam.metrics import Metrics

from transforms.delivery.deliveries import stream_of
from transforms.delivery.waiting_counts import gauge_name
from transforms.elements import OutputEvent, ScoreRequest
from transforms.metrics.rolling_quantiles import RollingQuantiles


def timestamp_ms(dt: str) -> int:
    """Returns a time of ISO 8601 as milliseconds since the epoch. Raises ValueError."""
    return round(datetime.fromisoformat(dt.replace("Z", "+00:00")).timestamp() * 1000)


class SinkMetrics:
    """Counts scores by model, and how long after their edit's event they were written; scores that became
    failures, by topic."""

    def __init__(self) -> None:
        self._lag = RollingQuantiles("WritePerModel", "lag_ms")
        self._failures = Metrics.counter("WritePerModel", "failures")

    def count(self, requests: Iterable[ScoreRequest]) -> None:
        for request in requests:
            Metrics.counter("WritePerModel", f"events_{request.model}").inc()
            if (lag := _lag_ms(request)) is not None:
                self._lag.add(request.model, lag)
        self._lag.publish()

    def count_refused(self, scores: Collection[OutputEvent]) -> None:
        self._failures.inc(len(scores))
        for score in scores:
            Metrics.counter("WritePerModel", gauge_name("refused", stream_of(score))).inc()


def _lag_ms(request: ScoreRequest) -> int | None:
    """Returns how many milliseconds ago the event of a score was produced; None when the event does not
    say."""
    try:
        return round(time.time() * 1000) - timestamp_ms(request.event.raw["meta"]["dt"])
    # it was never checked, as it does not go out
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError):
        return None
