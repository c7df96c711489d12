"""Quantiles of the latest values, as gauges: Flink's reporters show no distribution of Beam's."""

from __future__ import annotations

import time
from collections import deque

from apache_beam.metrics import Metrics

_KEPT = 500
_TOLD_S = 1.0


class Recent:
    """The latest values of one kind by model, and the gauges `<kind>_p50_<model>` and `<kind>_p99_<model>` that tell of them."""

    def __init__(self, step: str, kind: str) -> None:
        self._step, self._kind = step, kind
        self._values: dict[str, deque[int]] = {}
        self._due = 0.0

    def add(self, model: str, value: int) -> None:
        self._values.setdefault(model, deque(maxlen=_KEPT)).append(value)

    def tell(self) -> None:
        """Sets the gauges, once a second: each bundle that sets one reports them all."""
        if (now := time.monotonic()) < self._due:
            return
        self._due = now + _TOLD_S
        for model, values in self._values.items():
            ordered = sorted(values)
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                Metrics.gauge(self._step, f"{self._kind}_{name}_{model}").set(ordered[int(share * (len(ordered) - 1))])
