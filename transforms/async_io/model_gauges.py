"""The gauges of each model: what the client of a process is at, as each instance of its DoFns may tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from apache_beam.metrics import Metrics

from transforms.lift_wing.client import LiftWingClient
from transforms.lift_wing.process_bulkheads import ModelStats

# of what an instance without keys has not, whatever the others of its process have
_OPEN = ("in_flight", "queued")
_EVERY_S = 1.0


class ModelGauges:
    """Those of one instance. `monotonic` tells seconds."""

    def __init__(self, models: Iterable[str], monotonic: Callable[[], float]) -> None:
        self._monotonic, self._due = monotonic, 0.0
        self._gauges = {
            (model, name): Metrics.gauge("ScoreWithLiftWing", f"{name}_{model}")
            for model in models
            for name in ModelStats._fields
        }

    def publish(self, client: LiftWingClient, *, has_keys: bool) -> None:
        """Sets the gauges, once a second, and with each bundle of an instance that has no keys: it may be the
        last before a pause, and tells of the pause."""
        now = self._monotonic()
        if now < self._due and has_keys:
            return
        self._due = now + _EVERY_S
        stats = client.stats()
        for (model, name), gauge in self._gauges.items():
            is_told = has_keys or name not in _OPEN
            gauge.set(getattr(stats.get(model, ModelStats()), name) if is_told else 0)
