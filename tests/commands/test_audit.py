"""An audit finds exactly the holes of a dataset, and `regenerate --missing` asks for exactly them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import DAMAGING, ERRORS, HOURS, command, hourly, rows, run, scores_in, wrong_use

GOODFAITH = "mediawiki_revision_score_goodfaith"


def rewrite(partition: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    (part,) = partition.glob("part-*.parquet")
    table = pq.read_table(part)
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), table.schema), part)


def older(row: dict[str, Any]) -> dict[str, Any]:
    (model, score), *_ = row["scores"]
    return {
        **row,
        "meta": {**row["meta"], "dt": "2020-01-01T00:00:00Z"},
        "scores": [(model, {**score, "model_version": "0.0.1"})],
    }


def audit(folder: Path, *options: str) -> Any:
    return command(
        "audit",
        "--input",
        folder / "in",
        "--scores",
        folder / "out",
        "--list",
        folder / "holes.jsonl",
        *options,
    )


def test_holes_of_every_kind_are_found_and_healed(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    hourly(tmp_path / "in")
    assert run(lift_wing, tmp_path).returncode == 0
    whole = rows(tmp_path / "out")
    asked = Counter(lift_wing.calls())
    assert audit(tmp_path).returncode == 0
    assert (tmp_path / "holes.jsonl").read_bytes() == b""

    holes: Counter[tuple[str, str]] = Counter()
    rewrite(tmp_path / "out" / DAMAGING / HOURS[0], lambda there: there[3:])
    rewrite(tmp_path / "out" / DAMAGING / HOURS[1], lambda there: [*map(older, there[:2]), *there[2:]])
    holes["damaging", "missing"], holes["damaging", "older"] = 3, 2
    (part,) = (tmp_path / "out" / DAMAGING / HOURS[2]).glob("part-*")
    holes["damaging", "missing"] += pq.read_metadata(part).num_rows
    part.unlink()
    holes["goodfaith", "missing"] = sum(
        pq.read_metadata(file).num_rows for file in (tmp_path / "out" / GOODFAITH / HOURS[3]).glob("part-*")
    )
    shutil.rmtree(tmp_path / "out" / GOODFAITH / HOURS[3])

    done = audit(tmp_path, "--json")
    assert done.returncode == 1
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()[2:]] == [
        str(next((tmp_path / "out" / DAMAGING / hour).glob("part-*"), part)) for hour in HOURS[:3]
    ], "they are not as they were written"
    told: Counter[tuple[str, str]] = Counter()
    expected = 0
    for line in map(orjson.loads, done.stdout.splitlines()):
        expected += line["expected"]
        told.update({(line["model"], why): line[why] for why in ("missing", "failed", "older") if line[why]})
    assert (told, expected) == (holes, asked.total())
    listed = [orjson.loads(line) for line in (tmp_path / "holes.jsonl").read_bytes().splitlines()]
    assert Counter((hole["model"], hole["why"]) for hole in listed) == holes
    table = audit(tmp_path).stdout.splitlines()
    assert table[0].split()[:6] == ["model", "wiki", "expected", "missing", "failed", "older"]
    assert [line.split()[3:] for line in table if line.startswith("damaging") and " all " in line] == [
        [str(holes["damaging", "missing"]), "0", "2", "3"]
    ]

    healed = run(lift_wing, tmp_path, "--missing", str(tmp_path / "holes.jsonl"))
    assert (healed.returncode, healed.stderr) == (0, "")
    assert Counter(lift_wing.calls()) - asked == Counter(
        (hole["model"], hole["wiki"], hole["rev_id"]) for hole in listed
    )
    assert rows(tmp_path / "out") == whole
    assert audit(tmp_path).returncode == 0


def test_what_failed_is_a_hole_that_heals_when_it_can(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    hourly(tmp_path / "in")
    lift_wing.control(mode="status", status=400, model="goodfaith", wiki="frwiki")
    assert run(lift_wing, tmp_path).returncode == 1
    failed = sum(call[:2] == ("goodfaith", "frwiki") for call in lift_wing.calls())
    assert failed > 1
    done = audit(tmp_path)
    assert [line.split()[:6] for line in done.stdout.splitlines() if " frwiki " in line] == [
        ["goodfaith", "frwiki", str(failed), "0", str(failed), "0"]
    ]
    lift_wing.clear()
    before = Counter(lift_wing.calls())
    assert run(lift_wing, tmp_path, "--missing", str(tmp_path / "holes.jsonl")).returncode == 0
    assert (Counter(lift_wing.calls()) - before).total() == failed
    assert scores_in(tmp_path / "out") == Counter(
        (f"mediawiki_revision_score_{model}", wiki, rev_id) for model, wiki, rev_id in lift_wing.calls()
    )
    assert rows(tmp_path / "out" / ERRORS) == {}, "nothing is a failure any more"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("audit --input {none} --scores {folder}", "--input: no such file or directory: {none}"),
        ("audit --input {file} --scores {none}", "--scores: no such directory: {none}"),
        (
            "regenerate --input {file} --output {folder} --missing {none}",
            "--missing: {none} cannot be read: No such file or directory",
        ),
        (
            "regenerate --input {file} --output {folder} --missing {file}",
            "--missing: expected the list that `audit --list` writes, got {file} (",
        ),
    ],
)
def test_wrong_use_is_told(
    tmp_path: Path, arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"none": tmp_path / "none", "folder": tmp_path / "folder", "file": tmp_path / "in.jsonl"}
    names["folder"].mkdir()
    names["file"].write_bytes(b"{}\n")
    command_line = arguments.format(**names).split()
    assert wrong_use(*command_line) == 2
    assert capsys.readouterr().err.startswith(f"revision-scores {command_line[0]}: {said.format(**names)}")
