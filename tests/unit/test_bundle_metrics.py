"""A bundle reports the metrics that it changes, and rare counters once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from apache_beam.metrics import Metrics
from apache_beam.metrics.execution import MetricsContainer

from tests.support.state import metrics_of_a_step
from transforms.metrics.bundle_metrics import BundleMetrics

RARE, OFTEN = Metrics.counter("Step", "rare"), Metrics.counter("Step", "often")
GAUGE = Metrics.gauge("Step", "gauge")


@pytest.fixture
def step() -> Iterator[MetricsContainer]:
    with metrics_of_a_step() as container:
        yield container


@contextmanager
def bundle(metrics: BundleMetrics, step: MetricsContainer) -> Iterator[dict[str, int]]:
    """A bundle, and what it has reported when it is over."""
    reported: dict[str, int] = {}
    metrics.start_bundle()
    yield reported
    for info in step.to_runner_api_monitoring_infos("step").values():
        reported[info.labels["NAME"]] = info.payload[-1]
    step.reset()


def test_a_bundle_reports_what_it_changes(step: MetricsContainer) -> None:
    metrics = BundleMetrics(RARE)
    with bundle(metrics, step) as first:
        OFTEN.inc(2)
        GAUGE.set(5)
    with bundle(metrics, step) as second:
        OFTEN.inc()
    with bundle(metrics, step) as third:
        RARE.inc()
    assert first == {"rare": 0, "often": 2, "gauge": 5}
    assert (second, third) == ({"often": 1}, {"rare": 1})


def test_outside_of_a_worker_nothing_is_reported() -> None:
    BundleMetrics(RARE).start_bundle()
