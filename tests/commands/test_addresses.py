"""Addresses of datasets at which nothing can be read or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import wrong_use


@pytest.mark.parametrize(
    "command_line",
    [
        "combine {0}",
        "scores {0} --wiki enwiki --rev-id 1",
        "sanitize {0} --output {1}",
        "sanitize {1} --output {0}",
        "regenerate --input {1} --output {0}",
        "audit --input {1} --scores {0}",
    ],
)
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("hdfs://127.0.0.1:9/scores", "cannot be looked at: hdfs://127.0.0.1:9 does not answer: "),
        ("gs://bucket/scores", "gs://: expected a path on this machine, hdfs://… or s3://…"),
        ("hdfs:/scores", "expected hdfs:///scores, got hdfs:/scores"),
    ],
)
def test_an_address_at_which_nobody_is_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command_line: str, address: str, reason: str
) -> None:
    assert wrong_use(*command_line.format(address, tmp_path).split()) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
