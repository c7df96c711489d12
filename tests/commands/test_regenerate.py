"""`regenerate` as people run it: one dataset a model, what it says, and when it stops."""

from __future__ import annotations

import gzip
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import monotonic

import duckdb
import pyarrow.dataset as pads
import pytest

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import (
    DAMAGING,
    EDITS,
    ERRORS,
    HOURS,
    command,
    events_file,
    everything_in,
    hourly,
    rows,
    run,
    scores_in,
    words_of_run,
)
from tests.support.events import ROOT, edit
from transforms.datasets.manifests import MANIFEST


def test_regenerate_writes_one_dataset_for_each_model(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    with gzip.open(EDITS) as edits:
        source = events_file(tmp_path / "in.jsonl", *(next(edits).rstrip() for _ in range(600)))
    done = command(
        "regenerate", "--input", source, "--output", tmp_path / "out", "--lift-wing", lift_wing.url
    )
    assert (done.returncode, done.stderr) == (0, "")
    calls = lift_wing.calls()
    assert set(calls.values()) == {1}
    assert scores_in(tmp_path / "out") == Counter(
        (f"mediawiki_revision_score_{model}", wiki, rev_id) for model, wiki, rev_id in calls
    )
    first, empty, events, header, *rows, _, _ = done.stdout.splitlines()
    assert (first, empty) == (f"1 file from {source}, scored by {lift_wing.url}", "")
    assert events.startswith("600 events, ")
    assert header.split() == ["model", "requests", "scores", "failures", "dataset"]
    of_models = Counter(model for model, _, _ in calls)
    assert {row.split()[0]: row.split()[1:] for row in rows} == {
        model: [str(count), str(count), "0", str(tmp_path / "out" / f"mediawiki_revision_score_{model}")]
        for model, count in of_models.items()
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out"]
    damaging = tmp_path / "out" / DAMAGING
    files = f"read_parquet('{damaging}/**/*.parquet', hive_partitioning = true)"
    query = (
        "select datacenter, year, month, day, count(*), count(scores['damaging'].probability['true']) "
        f"from {files} group by all"
    )
    count = of_models["damaging"]
    assert duckdb.sql(query).fetchall() == [("eqiad", 2023, 1, 24, count, count)]
    table = pads.dataset(damaging, partitioning="hive").to_table()
    assert table.num_rows == count
    assert set(table["_schema"].to_pylist()) == {"/mediawiki/revision/score/3.0.0"}


@pytest.mark.parametrize("form", ["parquet", "avro", "jsonl"])
def test_regenerate_goes_on_past_what_fails_and_names_it(
    lift_wing: SimulatedLiftWing, tmp_path: Path, form: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    events_file(
        folder / "a.jsonl",
        edit(rev_id=1_000_001),
        edit(rev_id=1_000_002),
        edit(rev_id=1_000_003),
        b"nonsense",
        edit(database="nowiki2"),
    )
    lift_wing.control(mode="status", status=404, model="goodfaith", body={"error": "no model"})
    lift_wing.control(
        mode="status", status=400, rev_id=1_000_001, model="damaging", body={"error": "no revision 1000001"}
    )
    lift_wing.control(
        mode="status", status=400, rev_id=1_000_002, model="damaging", body={"error": "no revision 1000002"}
    )
    done = command(
        "regenerate",
        "--input",
        folder,
        "--output",
        tmp_path / "out",
        "--lift-wing",
        lift_wing.url,
        "--format",
        form,
        "--only",
        "damaging,goodfaith",
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert scores_in(tmp_path / "out") == {(DAMAGING, "enwiki", 1_000_003): 1}
    _, _, _, _, damaging, goodfaith, empty, total, first, second, *others, _, _ = done.stdout.splitlines()
    assert damaging.split()[:4] == ["damaging", "3", "1", "2"]
    assert goodfaith.split()[:4] == ["goodfaith", "3", "0", "3"]
    assert (empty, total) == ("", f"6 failures, with their originals in {tmp_path}/out/{ERRORS}")
    assert [first.split(None, 1), second.split(None, 1)] == [
        ["3", "404: no model"],
        ["2", "400: no revision N"],
    ]
    assert len(others) == 1
    rows_of_failures = [
        row
        for place, of_place in rows(tmp_path / "out").items()
        if place.startswith(ERRORS)
        for row in of_place
    ]
    assert len(rows_of_failures) == 6
    assert {row["raw_event"] for row in rows_of_failures} >= {"nonsense"}
    (suffix,) = {path.name.partition(".")[2] for path in (tmp_path / "out").rglob("part-*")}
    assert suffix == {"parquet": "parquet", "avro": "avro", "jsonl": "jsonl.gz"}[form]


def test_regenerate_never_overwrites_unasked(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    arguments = [
        "regenerate",
        "--output",
        tmp_path / "out",
        "--lift-wing",
        lift_wing.url,
        "--only",
        "damaging",
        "--input",
    ]
    elsewhere = edit(rev_id=9, dt="2022-01-01T00:00:00Z")
    assert (
        command(
            *arguments, events_file(tmp_path / "first.jsonl", edit(rev_id=1), edit(rev_id=2), elsewhere)
        ).returncode
        == 0
    )
    before = everything_in(tmp_path / "out")
    second = events_file(tmp_path / "second.jsonl", edit(rev_id=3))
    done = command(*arguments, second)
    assert (done.returncode, done.stdout) == (2, "")
    ways = (
        "name another directory, or say --resume to add what is missing, or --overwrite to replace the "
        "partitions it has"
    )
    assert done.stderr == f"revision-scores regenerate: --output: {tmp_path}/out is not empty; {ways}\n"
    assert everything_in(tmp_path / "out") == before
    assert command(*arguments, second, "--overwrite").returncode == 0
    assert scores_in(tmp_path / "out") == {(DAMAGING, "enwiki", 3): 1, (DAMAGING, "enwiki", 9): 1}


def test_regenerate_keeps_partitions_and_datacenters(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "datacenter=codfw" / "year=2021" / "month=08" / "day=27" / "hour=00"
    folder.mkdir(parents=True)
    events_file(folder / "a.jsonl", edit())
    done = command(
        "regenerate",
        "--input",
        tmp_path / "in",
        "--output",
        tmp_path / "out",
        "--lift-wing",
        lift_wing.url,
        "--only=damaging",
    )
    assert done.returncode == 0
    report, manifest, part = sorted(everything_in(tmp_path / "out"))
    assert report == "_report.html"
    assert manifest == f"{DAMAGING}/datacenter=codfw/year=2021/month=8/day=27/hour=0/{MANIFEST}"
    assert re.fullmatch(
        f"{DAMAGING}/datacenter=codfw/year=2021/month=8/day=27/hour=0/part-[0-9a-f-]+.parquet", part
    )


def test_regenerate_stops_when_told_and_leaves_no_half(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    lift_wing.control(mode="hang")
    arguments = [
        "regenerate",
        "--input",
        events_file(tmp_path / "in.jsonl", edit()),
        "--output",
        tmp_path / "out",
        "--lift-wing",
        lift_wing.url,
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        until = monotonic() + 30
        while not lift_wing.calls():
            assert monotonic() < until
        process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert (
        complaint.decode()
        == f"stopped; what lies in {tmp_path}/out is whole partitions, and --resume goes on from here\n"
    )
    assert everything_in(tmp_path / "out") == {}


def test_a_second_run_in_the_same_place_is_told(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    hourly(tmp_path / "in")
    lift_wing.control(mode="hang")
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", *words_of_run(lift_wing, tmp_path)],
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    ) as process:
        until = monotonic() + 30
        while not lift_wing.calls():
            assert monotonic() < until
        second = run(lift_wing, tmp_path, "--resume")
        process.kill()
    assert (second.returncode, second.stderr.count("\n")) == (2, 1)
    assert f"--output: another run writes to {tmp_path}/out; wait for it, or stop it" in second.stderr
    third = run(lift_wing, tmp_path)
    assert third.stderr == (
        f"revision-scores regenerate: --output: a run to {tmp_path}/out broke off; say --resume to go on "
        "with it, or --overwrite to begin anew\n"
    )


def test_a_rate_holds_and_is_in_the_estimate(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    hourly(tmp_path / "in", 40)
    done = run(lift_wing, tmp_path, "--dry-run", "--max-rate", "0.1")
    assert " calls at once and 0.1 a second at most: 0:1" in done.stdout
    began = monotonic()
    assert run(lift_wing, tmp_path, "--max-rate", "40").returncode == 0
    assert monotonic() - began > (sum(lift_wing.calls().values()) - 10) / 40
    done = run(lift_wing, tmp_path, "--max-rate", "0")
    assert (done.returncode, done.stderr) == (
        2,
        "revision-scores regenerate: --max-rate: expected a number of calls a second above 0, got 0\n",
    )


def test_a_dry_run_tells_the_calls_that_a_run_then_makes(
    lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    hourly(tmp_path / "in")
    (tmp_path / "in" / HOURS[0] / "part-1.jsonl").write_bytes(b"no event\n")
    done = run(lift_wing, tmp_path, "--dry-run")
    assert (done.returncode, done.stderr, lift_wing.calls()) == (0, "", {})
    assert not (tmp_path / "out").exists()
    _, _, events, bad, _, header, *told = done.stdout.splitlines()
    models = {line.split()[0]: line.split()[1:4] for line in told[: told.index("")]}
    assert bad == "1 row or file is no event, and will be a failure"
    assert header.split()[:4] == ["model", "calls", "wikis", "to"]
    assert run(lift_wing, tmp_path).returncode == 1
    calls = Counter(model for model, _, _ in lift_wing.calls())
    assert events == f"400 events, {calls.total()} calls"
    wikis = {model: len({call[1] for call in lift_wing.calls() if call[0] == model}) for model in calls}
    behind = dict.fromkeys(("damaging", "goodfaith", "reverted", "draftquality"), 3)
    assert models == {
        model: [str(count), str(wikis[model]), str(count * behind.get(model, 1))]
        for model, count in calls.items()
    }
    shutil.rmtree(tmp_path / "out" / DAMAGING / HOURS[3])
    missing = run(lift_wing, tmp_path, "--dry-run", "--resume").stdout.splitlines()[2]
    before = sum(lift_wing.calls().values())
    assert run(lift_wing, tmp_path, "--resume").returncode == 1
    made = sum(lift_wing.calls().values()) - before
    assert missing == f"400 events, {made} calls; {calls.total() - made} scores are there already"
    assert 0 < made < calls["damaging"]
