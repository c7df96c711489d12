"""The stream on a virtual clock: whatever goes wrong around it, nothing is lost, nothing waits too long, and
a run can be repeated."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulator.__main__ import result_of
from tests.support.events import ROOT

SEEDS = 200


def test_no_seed_violates_anything() -> None:
    violations = [
        f"python -m tests.simulator --seed {seed}: {violation}"
        for seed in range(SEEDS)
        for violation in result_of(seed).violations[:1]
    ]
    assert violations == []


@pytest.mark.parametrize("seed", [9, 232])  # 232: with --each-event-once, where requests wait
def test_a_seed_is_the_same_run_in_another_process(seed: int) -> None:
    def output(hashes: str) -> str:
        command = [sys.executable, "-m", "tests.simulator", "--seed", str(seed)]
        return subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": hashes}, stdout=subprocess.PIPE, text=True
        ).stdout

    assert output("1") == output("2") != ""
