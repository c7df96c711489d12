"""What a bundle reports of metrics.

Beam's Python worker reports with each bundle every metric that a step has ever touched, changed or not. With
nine models these are a hundred; at 50 calls a second they took an eighth of a worker's CPU.
"""

from __future__ import annotations

from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import Counter


class BundleMetrics:
    """Of a DoFn, whose `start_bundle` calls this one's: each bundle then reports what it changes.

    `rare` counters are reported as 0 with the first bundle: an alert on what grows needs the 0 before it.
    """

    def __init__(self, *rare: Counter) -> None:
        self._rare = rare

    def start_bundle(self) -> None:
        container = MetricsEnvironment.current_container()
        if container is not None:  # outside of a worker there is none
            container.metrics.clear()
        for counter in self._rare:
            counter.inc(0)
        self._rare = ()
