"""The quantiles of the latest values, as a monitoring system finds them."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

from transforms.metrics.rolling_quantiles import RollingQuantiles

Step = tuple[float, Sequence[int]]  # when, and what comes then


class PublishFn(beam.DoFn):
    def process(self, steps: Sequence[Step]) -> None:
        recent = RollingQuantiles("Step", "lag_ms", lambda: self.now)
        for self.now, values in steps:
            for value in values:
                recent.add("damaging", value)
            recent.publish()


@pytest.mark.parametrize(
    ("steps", "p50", "p99"),
    [
        ([(0.0, range(101))], 50, 99),
        ([(0.0, [90_000] * 400), (1.0, range(500))], 249, 494),
        ([(0.0, [90_000] * 20), (299.0, [10])], 90_000, 90_000),
        ([(0.0, [90_000] * 20), (301.0, [10])], 10, 10),
        ([(0.0, [90_000] * 20), (301.0, [])], 0, 0),
        ([(0.0, [1]), (0.5, [90_000])], 1, 1),
    ],
    ids=["all", "of the last 500", "of five minutes", "not of an hour ago", "none came", "once a second"],
)
def test_quantiles_are_of_the_latest_values(steps: Sequence[Step], p50: int, p99: int) -> None:
    pipeline = beam.Pipeline(BundleBasedDirectRunner())
    pipeline | beam.Create([steps]) | beam.ParDo(PublishFn())
    result = pipeline.run()
    result.wait_until_finish()
    gauges = {gauge.key.metric.name: gauge.committed.value for gauge in result.metrics().query()["gauges"]}
    assert gauges == {"lag_ms_p50_damaging": p50, "lag_ms_p99_damaging": p99}
