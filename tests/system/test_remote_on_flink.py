"""`regenerate` on a Flink cluster whose workers share nothing but an HDFS."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from runners.programs import LocalFlinkProgram
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import command, hourly, rows
from tests.support.events import ROOT
from tests.support.stores import Store, hdfs_store
from transforms.datasets.manifests import MANIFEST

pytestmark = pytest.mark.flink
MODELS = ["--only", "damaging,goodfaith", "--wikis", "enwiki,frwiki,wikidatawiki"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with hdfs_store(tmp_path_factory.mktemp("hdfs")) as store:
        yield store


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFlinkProgram]:
    folder = tmp_path_factory.mktemp("cluster")
    with LocalFlinkProgram(folder, "--task-managers", "2", "--slots", "1") as running:
        yield running


@pytest.fixture
def lift_wing() -> Iterator[SimulatedLiftWing]:
    with SimulatedLiftWing(latency=0.3) as running:
        yield running


def arguments(lift_wing: SimulatedLiftWing, source: object, output: object) -> list[str]:
    return ["--input", f"{source}", "--output", f"{output}", "--lift-wing", lift_wing.url, *MODELS]


def on(cluster: LocalFlinkProgram, workers: int = 2) -> list[str]:
    where = [f"--flink_master={cluster.address}", f"--environment_config={cluster.workers}"]
    return ["--runner=FlinkRunner", *where, f"--parallelism={workers}"]


def workers(cluster: LocalFlinkProgram) -> list[psutil.Process]:
    """The Python processes that run steps."""
    children = psutil.Process(cluster.process.pid).children(recursive=True)
    return [child for child in children if "sdk_worker" in " ".join(child.cmdline())]


def until(met: Callable[[], object], run: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not met():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_workers_make_what_one_makes_and_share_what_it_may_ask(
    store: Store, cluster: LocalFlinkProgram, tmp_path: Path, lift_wing: SimulatedLiftWing
) -> None:
    here = hourly(tmp_path / "in", 240)
    there = store.put(here, "two/in")
    models = re.sub("concurrency: [0-9]+", "concurrency: 5", (ROOT / "pipeline" / "models.yaml").read_text())
    (tmp_path / "models.yaml").write_text(models)
    options = ["--models", f"{tmp_path / 'models.yaml'}"]
    assert command("regenerate", *arguments(lift_wing, here, tmp_path / "out"), *options).returncode == 0
    calls = lift_wing.calls()
    lift_wing.forget()
    done = command("regenerate", *arguments(lift_wing, there, store / "two/out"), *options, *on(cluster))
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 workers share what is asked at once, rounded down: damaging 4 of 5" in done.stdout
    assert lift_wing.calls() == calls
    assert max(lift_wing.stats()["most_in_flight"].values()) == 4
    assert rows(store.get("two/out", tmp_path / "there")) == rows(tmp_path / "out")
    assert not [name for name in store.names("two/out") if name.startswith(".")]


def test_a_worker_that_is_killed_while_it_commits_loses_nothing(
    store: Store, cluster: LocalFlinkProgram, tmp_path: Path, lift_wing: SimulatedLiftWing
) -> None:
    here = hourly(tmp_path / "in")
    there = store.put(here, "killed/in")
    assert command("regenerate", *arguments(lift_wing, here, tmp_path / "out")).returncode == 0
    calls = lift_wing.calls()
    lift_wing.forget()
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", "regenerate"]
        + [*arguments(lift_wing, there, store / "killed/out"), *on(cluster)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        until(lambda: [name for name in store.names("killed/out") if name.endswith(MANIFEST)], run)
        os.kill(workers(cluster)[0].pid, signal.SIGKILL)
        said, errors = run.communicate(timeout=170)
    if run.returncode:  # an attempt may meet what the one before still writes
        assert errors.startswith(b"stopped: "), (said, errors)
        assert errors.endswith(b"; what was answered stays, and --resume goes on from here\n")
        again = [*arguments(lift_wing, there, store / "killed/out"), *on(cluster), "--resume"]
        assert command("regenerate", *again).returncode == 0
    assert lift_wing.calls() == calls
    assert rows(store.get("killed/out", tmp_path / "there")) == rows(tmp_path / "out")
    assert not [name for name in store.names("killed/out") if name.startswith(".")]


def test_a_run_that_is_stopped_or_killed_leaves_no_job_to_the_next(
    store: Store, cluster: LocalFlinkProgram, tmp_path: Path, lift_wing: SimulatedLiftWing
) -> None:
    there = store.put(hourly(tmp_path / "in"), "stopped/in")
    given = [*arguments(lift_wing, there, store / "stopped/out"), *on(cluster)]
    for number, left in ((signal.SIGTERM, 0), (signal.SIGKILL, 1)):
        lift_wing.forget()
        with subprocess.Popen(
            [sys.executable, "-m", "pipeline", "regenerate", *given, "--max-rate=10", "--resume"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as run:
            until(lift_wing.calls, run)
            began = time.monotonic()
            until(lambda: sum(lift_wing.calls().values()) >= 30, run)
            assert time.monotonic() - began > 2.5  # of all workers together no more than ten a second
            run.send_signal(number)
            said, errors = run.communicate(timeout=60)
        assert run.returncode == (-number if left else 128 + number), (said, errors)
        assert len(jobs(cluster)) == left
    done = command("regenerate", *given, "--resume")
    assert (done.returncode, jobs(cluster)) == (0, []), done.stderr


def jobs(cluster: LocalFlinkProgram) -> list[str]:
    """Those that are not over."""
    told = requests.get(f"http://{cluster.address}/jobs/overview", timeout=10).json()["jobs"]
    return [job["name"] for job in told if job["state"] not in ("FINISHED", "CANCELED", "FAILED")]
