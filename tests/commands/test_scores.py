"""All scores of a revision, out of the datasets."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

import schemas
from pipeline.main import main
from runners.simulated_lift_wing.server import score, version
from tests.support.commands import DAMAGING, wrong_use

MODELS = ("damaging", "goodfaith", "articletopic")


def test_scores_gives_what_all_models_said_of_a_revision(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scores", str(root), "--wiki", "enwiki", "--rev-id", "1007"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[model, version("enwiki", model)] for model in MODELS]
    said = score("enwiki", "damaging", 1007)
    assert lines[0].split()[2] == str(said["prediction"]).lower()
    assert f"true {said['probability']['true']:.3f}" in lines[0]
    assert lines[0].endswith("  (2021-08-27T13:20:10Z)")
    assert (
        main(["scores", str(root), "--wiki", "enwiki", "--rev-id", "1007", "--only", "goodfaith", "--json"])
        == 0
    )
    (event,) = map(orjson.loads, capsys.readouterr().out.splitlines())
    schemas.validator("/mediawiki/revision/score/3.0.0")(event)
    assert (event["rev_id"], event["database"], list(event["scores"])) == (1007, "enwiki", ["goodfaith"])


def test_what_is_not_there_is_told(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scores", str(root), "--wiki", "enwiki", "--rev-id", "7"]) == 1
    assert capsys.readouterr().err == f"no model has a score of revision 7 of enwiki in {root}\n"
    assert wrong_use("scores", tmp_path, "--wiki", "enwiki", "--rev-id", "7") == 2
    assert (
        capsys.readouterr().err
        == f"revision-scores scores: no dataset of a model lies in {tmp_path}; name the --output of "
        "regenerate\n"
    )


def test_rows_lie_by_wiki_and_revision(root: Path) -> None:
    """So that the statistics of a row group tell whether a revision can be in it."""
    (part,) = (root / DAMAGING).rglob("part-*.parquet")
    rows = pq.read_table(part, columns=["database", "rev_id"]).to_pylist()
    assert [(row["database"], row["rev_id"]) for row in rows] == [
        (wiki, rev_id) for wiki in ("enwiki", "frwiki") for rev_id in range(1000, 1300)
    ]


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_searched(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (part,) = (root / DAMAGING).rglob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:-100])
    assert main(["scores", str(root), "--wiki", "enwiki", "--rev-id", "1007"]) == 1
    said, problems = capsys.readouterr()
    assert [line.split()[0] for line in said.splitlines()] == ["goodfaith", "articletopic"]
    assert problems.startswith(f"{part}: cannot be read: ")
