"""Datasets that several commands read."""

from __future__ import annotations

from pathlib import Path

import pytest

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import command, events_file
from tests.support.events import edit
from tests.support.exports import Export


@pytest.fixture
def root(lift_wing: SimulatedLiftWing, tmp_path: Path) -> Path:
    """Scores of 300 revisions of each of two wikis, which lie in each other's range of numbers."""
    events = [
        edit(rev_id=rev_id, database=wiki) for rev_id in range(1000, 1300) for wiki in ("enwiki", "frwiki")
    ]
    done = command(
        "regenerate",
        "--input",
        events_file(tmp_path / "in.jsonl", *events),
        "--output",
        tmp_path / "out",
        "--lift-wing",
        lift_wing.url,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return tmp_path / "out"


@pytest.fixture
def export(lift_wing: SimulatedLiftWing, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Export:
    return Export(tmp_path, lift_wing, capsys)
