"""`regenerate` makes whole partitions, and goes on where it was after whatever happened to it."""

from __future__ import annotations

import gzip
import random
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import orjson
import pyarrow.parquet as pq

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import (
    DAMAGING,
    ERRORS,
    HOURS,
    command,
    everything_in,
    hourly,
    rows,
    run,
    scores_in,
    words_of_run,
)
from tests.support.events import ROOT, edit
from transforms.datasets.manifests import MANIFEST


def test_a_unit_that_is_whole_says_what_it_is_made_of(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    source = hourly(tmp_path / "in")
    lift_wing.control(
        mode="status", status=400, model="damaging", body={"error": "no revision 1000001"}, wiki="enwiki"
    )
    done = run(lift_wing, tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    partition = tmp_path / "out" / DAMAGING / HOURS[2]
    (part,) = partition.glob("part-*.parquet")
    manifest = orjson.loads((partition / MANIFEST).read_bytes())
    failures = sum(call[:2] == ("damaging", "enwiki") for call in lift_wing.calls())
    failed = [
        orjson.loads((tmp_path / "out" / DAMAGING / hour / MANIFEST).read_bytes())["failures"]
        for hour in HOURS
    ]
    assert sum((Counter(each) for each in failed), Counter()) == {"400: no revision N": failures}
    table = pq.read_table(part)
    assert (
        Counter(dict(row)["damaging"]["model_version"] for row in table["scores"].to_pylist())
        == manifest["model_versions"]
    )
    file = source / HOURS[2] / "part-0.jsonl"
    (read,) = manifest["inputs"]
    assert (read["path"], read["bytes"], bool(read["version"])) == (str(file), file.stat().st_size, True)
    assert (manifest["v"], manifest["format"], manifest["layout"]) == (
        1,
        "parquet",
        "datacenter/year/month/day/hour",
    )
    assert sum(manifest["failures"].values()) == len(manifest["missing"])
    assert manifest["files"] == [{"name": part.name, "bytes": part.stat().st_size}]
    assert (manifest["model"], manifest["partition"], manifest["rows"], manifest["lift_wing"]) == (
        "damaging",
        HOURS[2],
        table.num_rows,
        lift_wing.url,
    )


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(
    lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    hourly(tmp_path / "in")
    lift_wing.control(mode="slow", seconds=0.1)
    gone = {"error": "Missing resource for rev-id 1: RevisionNotFound"}
    lift_wing.control(mode="status", status=404, model="goodfaith", wiki="enwiki", body=gone)
    done = run(lift_wing, tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    uninterrupted, once = rows(tmp_path / "out"), Counter(lift_wing.calls())
    assert set(once.values()) == {1}
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    kills, seeded = 0, random.Random(4)
    words = words_of_run(lift_wing, tmp_path, "--resume")
    while True:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *words], stdout=subprocess.DEVNULL, cwd=ROOT
        )
        so_far, goal = sum(lift_wing.calls().values()), seeded.randrange(300, 600)
        while sum(lift_wing.calls().values()) < so_far + goal:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
                break
            if files := list((tmp_path / "out").glob("mediawiki_*/**/part-*")):
                place = files[0].parent
                assert rows(place).get(".", []) == uninterrupted.get(
                    str(place.relative_to(tmp_path / "out")), []
                ), "whole as soon as it is there"
        if process.poll() is not None:
            assert process.returncode == 1
            break
        process.kill()
        process.wait()
        kills += 1
    assert kills >= 2
    assert rows(tmp_path / "out") == uninterrupted
    # which fail each time
    again = sum(
        count
        for call, count in (Counter(lift_wing.calls()) - once - once).items()
        if call[:2] != ("goodfaith", "enwiki")
    )
    out = sum(lift_wing.stats()["most_in_flight"].values())
    assert again <= kills * (128 + out), (
        "what was out at a kill, and the answers that waited to be written together"
    )
    assert not (tmp_path / "out" / ".working").exists()


def test_a_model_that_is_dead_leaves_its_partitions_missing_until_it_is_back(
    lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    hourly(tmp_path / "in")
    models = tmp_path / "models.yaml"
    models.write_text(
        (ROOT / "pipeline" / "models.yaml")
        .read_text(encoding="utf-8")
        .replace("max_age_s: 3600", "max_age_s: 2"),
        encoding="utf-8",
    )
    lift_wing.control(mode="status", status=503, model="damaging")
    done = run(lift_wing, tmp_path, "--models", str(models))
    assert (done.returncode, done.stderr) == (1, "")
    unfinished = done.stdout.splitlines()[-4:-2]
    assert (
        unfinished[0]
        == "4 partitions are not written, as not all their scores could be had; --resume goes on with them:"
    )
    assert unfinished[1].split(": ")[0].split() == ["4", "damaging"]
    assert unfinished[1].endswith(f"({HOURS[0]}, …)")
    written = {path: content for path, content in everything_in(tmp_path / "out").items() if "/" in path}
    assert not [path for path in written if path.startswith((DAMAGING, ERRORS))]
    assert {path.partition("/")[0] for path in written} >= {
        "mediawiki_revision_score_goodfaith",
        "mediawiki_revision_score_itemquality",
    }
    before = Counter(lift_wing.calls())
    lift_wing.clear()
    done = run(lift_wing, tmp_path, "--models", str(models), "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    added = Counter(lift_wing.calls()) - before
    assert {call[0] for call in added} == {"damaging"}
    assert everything_in(tmp_path / "out").items() > written.items(), "what was whole was not touched"
    asked = before.keys() | added.keys()
    assert scores_in(tmp_path / "out") == Counter(
        (f"mediawiki_revision_score_{model}", wiki, rev_id) for model, wiki, rev_id in asked
    )
    assert run(lift_wing, tmp_path, "--resume").returncode == 0
    assert Counter(lift_wing.calls()) == before + added, "there was nothing left to do"


def test_a_file_that_cannot_be_read_is_named_and_its_partition_has_what_the_others_hold(
    lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    source = hourly(tmp_path / "in")
    file = source / HOURS[1] / "part-1.jsonl.gz"
    whole = gzip.compress(b"".join(orjson.dumps(edit(rev_id=rev_id)) + b"\n" for rev_id in range(1, 50)))
    file.write_bytes(whole[:-30])
    done = run(lift_wing, tmp_path, "--only", "damaging,goodfaith")
    assert done.returncode == 1
    assert [line.split(": ")[0].strip() for line in done.stdout.splitlines()[-4:-2]] == [
        "1 file could not be read; the partitions have what the others hold, and --resume tries again:",
        str(file),
    ]
    assert {
        str(path.parent.relative_to(tmp_path / "out" / DAMAGING))
        for path in (tmp_path / "out" / DAMAGING).rglob("part-*")
    } == {*HOURS}
    file.write_bytes(whole)
    assert run(lift_wing, tmp_path, "--only", "damaging,goodfaith", "--resume").returncode == 0
    assert set(lift_wing.calls().values()) == {1}
    assert {(DAMAGING, "enwiki", rev_id): 1 for rev_id in range(1, 50)}.items() <= scores_in(
        tmp_path / "out"
    ).items()


def test_partitions_are_replaced_one_by_one_and_only_when_asked(
    lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    hourly(tmp_path / "in")
    assert run(lift_wing, tmp_path, "--only", "damaging").returncode == 0
    first = rows(tmp_path / "out")
    before = everything_in(tmp_path / "out")
    shutil.rmtree(tmp_path / "in" / HOURS[3])
    assert run(lift_wing, tmp_path, "--only", "damaging", "--overwrite").returncode == 0
    assert rows(tmp_path / "out") == first
    after = everything_in(tmp_path / "out")
    assert {
        path.rpartition("/")[0] for path in before.keys() & after.keys() if before[path] == after[path]
    } == {f"{DAMAGING}/{HOURS[3]}"}
    assert Counter(lift_wing.calls().values()).keys() == {1, 2}


def test_only_the_hours_that_are_asked_for(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    hourly(tmp_path / "in")
    done = run(
        lift_wing,
        tmp_path,
        "--from",
        "2023-01-24T01:00",
        "--to",
        "2023-01-24T04:00+01:00",
        "--only",
        "damaging",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {
        str(path.parent.relative_to(tmp_path / "out" / DAMAGING))
        for path in (tmp_path / "out").rglob("part-*")
    } == {*HOURS[1:3]}
    done = run(lift_wing, tmp_path, "--from", "2024-01-01")
    said = (
        f"--from, --to: no partition of {tmp_path}/in is of that time; it has 2023-01-24T00:00 to "
        "2023-01-24T03:00"
    )
    assert (done.returncode, done.stderr) == (2, f"revision-scores regenerate: {said}\n")
    file = tmp_path / "in" / HOURS[0] / "part-0.jsonl"
    heap = shutil.copy(file, tmp_path / "heap.jsonl")
    done = command("regenerate", "--input", heap, "--output", tmp_path / "none", "--to", "2024-01-01")
    said = f"--from, --to: expected files in Hive layout (datacenter=eqiad/year=2024/…), got {heap}"
    assert (done.returncode, done.stderr) == (2, f"revision-scores regenerate: {said}\n")
