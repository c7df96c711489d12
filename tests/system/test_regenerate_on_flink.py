"""`regenerate` on Flink, inside the command and on a cluster: the same datasets as on the DirectRunner."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runners.programs import LocalFlinkProgram
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import hourly, rows, run, wrong_use

pytestmark = pytest.mark.flink


def test_the_datasets_and_what_is_said_are_those_of_the_direct_runner(
    lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    hourly(tmp_path / "in")
    lift_wing.control(
        mode="status", status=400, model="damaging", body={"error": "no revision 1000001"}, wiki="enwiki"
    )
    with LocalFlinkProgram(tmp_path / "cluster", "--slots", "2") as cluster:
        where = {
            "direct": [],
            "embedded": ["--runner=FlinkRunner"],
            "cluster": [
                "--runner=FlinkRunner",
                f"--flink_master={cluster.address}",
                f"--environment_config={cluster.workers}",
                "--parallelism=2",
            ],
        }
        found = {}
        for name, options in where.items():
            done = run(lift_wing, tmp_path, *options)
            assert (done.returncode, done.stderr) == (1, "")
            found[name] = rows(tmp_path / "out"), done.stdout, lift_wing.calls()
            assert not list(tmp_path.glob(".out*"))
            shutil.rmtree(tmp_path / "out")
            lift_wing.forget()
    assert found["embedded"] == found["direct"]
    assert found["cluster"] == found["direct"]


def test_an_option_that_flink_does_not_know_is_told(
    lift_wing: SimulatedLiftWing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hourly(tmp_path / "in")
    where = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--lift-wing", lift_wing.url]
    assert wrong_use("regenerate", *where, "--runner=FlinkRunner", "--paralelism=2") == 2
    assert (
        capsys.readouterr().err
        == "revision-scores regenerate: unknown option --paralelism; did you mean --parallelism?\n"
    )
