"""What each of several workers of a run may ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.batch.flink_runner import runner_of
from pipeline.batch.runner import Runner
from pipeline.config.models_file import load
from pipeline.usage_error import UsageError
from tests.support.events import ROOT
from transforms.models.model import Configuration


def configuration(concurrency: int) -> Configuration:
    loaded = load(ROOT / "pipeline" / "models.yaml")
    return replace(
        loaded,
        models={
            name: loaded.models[name].with_endpoints(lambda each: replace(each, concurrency=concurrency))
            for name in ("damaging", "goodfaith")
        },
        lift_wing=replace(loaded.lift_wing, calls_per_s=10.0),
    )


def test_a_share_is_rounded_down_and_that_is_told() -> None:
    runner, given = Runner(workers=3), configuration(concurrency=11)
    share = runner.share_of(given)
    assert {each.concurrency for model in share.models.values() for each in model.endpoints.values()} == {3}
    assert share.lift_wing.calls_per_s == pytest.approx(10 / 3)
    assert (
        runner.rounding(given)
        == "3 workers share what is asked at once, rounded down: damaging 9 of 11, goodfaith 9 of 11"
    )
    assert Runner(workers=3).rounding(configuration(concurrency=12)) == ""
    assert Runner().share_of(given) == given


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="--parallelism: 6 workers cannot share the concurrency of .*, 5; "):
        Runner(workers=6).rounding(configuration(concurrency=5))


@pytest.mark.parametrize("given", ["0", "-1", "two"])
def test_a_parallelism_is_a_number_of_workers(given: str) -> None:
    with pytest.raises(UsageError, match="--parallelism: expected a number of workers above 0, got "):
        runner_of(["--runner=FlinkRunner", f"--parallelism={given}"])
