"""What a run does while S3 refuses to be written to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import DAMAGING, command, hourly, rows
from tests.support.events import ROOT
from tests.support.s3_proxy import S3Proxy
from tests.support.stores import BUCKET, Store, s3_store

_SLOW_S = 3.0  # less than botocore and s3fs try for


@dataclass(frozen=True)
class Refusing:
    store: Store
    proxy: S3Proxy


@pytest.fixture
def s3() -> Iterator[Refusing]:
    with pytest.MonkeyPatch.context() as monkeypatch, s3_store(monkeypatch) as store:
        before, _, address = store.options.rpartition("=")
        with S3Proxy(address) as proxy:
            own = proxy.url.removeprefix("http://")
            yield Refusing(Store(f"s3://{BUCKET}/ml", f"{before}={own}"), proxy)


@pytest.fixture
def slow_lift_wing() -> Iterator[SimulatedLiftWing]:
    with SimulatedLiftWing(latency=0.5) as running:
        yield running


def begun(arguments: list[object], lift_wing: SimulatedLiftWing) -> subprocess.Popen[str]:
    """A run that has asked for its first score."""
    run = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "regenerate", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not lift_wing.calls():
        assert run.poll() is None
        time.sleep(0.005)
    return run


def test_an_s3_that_asks_for_fewer_requests_is_given_time(
    s3: Refusing, slow_lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    given = ["--input", hourly(tmp_path / "in", 40, hours=1), "--lift-wing", slow_lift_wing.url]
    arguments = [*given, "--only", "damaging", "--output"]
    with begun([*arguments, s3.store / "out"], slow_lift_wing) as run:
        s3.proxy.fault = "SlowDown"
        while not s3.proxy.refused:
            assert run.poll() is None
            time.sleep(0.005)
        time.sleep(_SLOW_S)  # a pause of S3's, not a wait for something
        s3.proxy.fault = ""
        _, said = run.communicate(timeout=120)
    assert (run.returncode, said) == (0, "")
    assert command("regenerate", *arguments, tmp_path / "here").returncode == 0
    there = s3.store.get(f"out/{DAMAGING}", tmp_path / "there")
    assert rows(there) == rows(tmp_path / "here" / DAMAGING)


def test_a_run_that_may_not_write_any_more_ends_with_a_line_and_is_gone_on_with(
    s3: Refusing, slow_lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    given = ["--input", hourly(tmp_path / "in", 40, hours=1), "--lift-wing", slow_lift_wing.url]
    arguments = [*given, "--only", "damaging", "--output", s3.store / "denied"]
    with begun(arguments, slow_lift_wing) as run:
        s3.proxy.fault = "AccessDenied"
        _, said = run.communicate(timeout=180)
    # by whichever notices first: what writes, or the lease, which ends a run as SIGTERM does
    assert run.returncode in {1, 143}, said
    *others, last = said.splitlines()
    assert len(others) <= 1, said
    assert "Access" in said
    assert last.startswith("stopped")
    assert last.endswith("--resume goes on from here")
    s3.proxy.fault = ""
    assert command("regenerate", *arguments, "--resume").returncode == 0
