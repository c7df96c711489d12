"""Quantiles of the latest values, as gauges: Flink's reporters show no distribution of Beam's."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from apache_beam.metrics import Metrics

_KEPT, _KEPT_S = 500, 300.0
_TOLD_S = 1.0


class RollingQuantiles:
    """The latest values of one kind by model, of five minutes, and the gauges `<kind>_p50_<model>` and
    `<kind>_p99_<model>` that tell of them; 0 when none came."""

    def __init__(self, step: str, kind: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._step, self._kind, self._monotonic = step, kind, monotonic
        self._values: dict[str, deque[tuple[float, int]]] = {}  # with when they came
        self._due = 0.0

    def add(self, model: str, value: int) -> None:
        """Adds a value of now."""
        self._values.setdefault(model, deque(maxlen=_KEPT)).append((self._monotonic(), value))

    def publish(self) -> None:
        """Sets the gauges, once a second: each bundle that sets one reports them all."""
        if (now := self._monotonic()) < self._due:
            return
        self._due = now + _TOLD_S
        for model, values in self._values.items():
            while values and values[0][0] < now - _KEPT_S:
                values.popleft()
            ordered = sorted(value for _, value in values) or [0]
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                Metrics.gauge(self._step, f"{self._kind}_{name}_{model}").set(
                    ordered[int(share * (len(ordered) - 1))]
                )
