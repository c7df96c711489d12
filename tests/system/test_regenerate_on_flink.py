"""`regenerate` on Flink, inside the command and on a cluster: the same datasets as on the DirectRunner."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runners.programs import LocalFlinkProgram
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import command, hourly, rows, run, wrong_use
from tests.support.events import ROOT

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
    of_rows, said, calls = found["cluster"]
    without_shares = "".join(
        line for line in said.splitlines(True) if not line.startswith("2 workers share what is asked at once")
    )
    assert (of_rows, without_shares, calls) == found["direct"]


def test_a_job_that_fails_is_told_in_a_line(tmp_path: Path) -> None:
    hourly(tmp_path / "in")
    with SimulatedLiftWing(latency=0.5) as lift_wing:
        given = ["--input", f"{tmp_path / 'in'}", "--output", f"{tmp_path / 'out'}"]
        given += ["--lift-wing", lift_wing.url, "--only", "damaging", "--runner=FlinkRunner"]
        with subprocess.Popen(
            [sys.executable, "-m", "pipeline", "regenerate", *given],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as run:
            while not lift_wing.calls():
                assert run.poll() is None
                time.sleep(0.01)
            for child in psutil.Process(run.pid).children(recursive=True):
                if "sdk_worker" in " ".join(child.cmdline()):
                    child.kill()
            _, said = run.communicate(timeout=120)
        assert run.returncode == 1
        (line,) = said.splitlines()
        assert line.startswith("stopped: Flink's job failed (")
        assert line.endswith("); what was answered stays, and --resume goes on from here")
        assert command("regenerate", *given, "--resume").returncode == 0


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
