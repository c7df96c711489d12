"""What `combine` does with a dataset that is not as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.main import main
from tests.support.commands import DAMAGING


def test_combine_names_a_part_that_is_not_as_it_was_written_and_waits_for_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (part,) = (root / DAMAGING).rglob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:-100])
    assert main(["combine", str(root)]) == 1
    assert f"waits for damaging ({part}: expected " in capsys.readouterr().out
