"""Quantiles of the latest values, as gauges: Flink's reporters show no distribution of Beam's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from apache_beam.metrics import Metrics

_KEPT = 500


class Recent:
    """The latest values of one kind by model, and the gauges `<kind>_p50_<model>` and `<kind>_p99_<model>` that tell of them."""

    def __init__(self, step: str, kind: str, models: Iterable[str]) -> None:
        self._values: dict[str, deque[int]] = {model: deque(maxlen=_KEPT) for model in models}
        self._gauges = {
            model: [(share, Metrics.gauge(step, f"{kind}_{name}_{model}")) for name, share in (("p50", 0.5), ("p99", 0.99))] for model in self._values
        }

    def add(self, model: str, value: int) -> None:
        self._values[model].append(value)

    def tell(self) -> None:
        """Sets the gauges."""
        for model, values in self._values.items():
            if values:
                ordered = sorted(values)
                for share, gauge in self._gauges[model]:
                    gauge.set(ordered[int(share * (len(ordered) - 1))])
