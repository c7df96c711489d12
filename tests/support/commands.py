"""Commands, run in this process, and what they leave behind."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

import schemas
from pipeline.main import main
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.events import ROOT
from transforms.datasets.event_files import InputFile, find_files, read_file

EDITS = ROOT / "runners" / "data" / "edits_2023-01.jsonl.gz"
DAMAGING = "mediawiki_revision_score_damaging"
ERRORS = "mediawiki_revision_score_error"


def command(*arguments: object, stdin: bytes = b"", **more: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=more.pop("cwd", ROOT),
        timeout=180,
        check=False,
        **more,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def wrong_use(*arguments: object) -> Any:
    """In this process, as nothing is started: the exit code."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as exit_code:
        return exit_code.code


def events_file(path: Path, *events: dict[str, Any] | bytes) -> Path:
    path.write_bytes(
        b"\n".join(event if isinstance(event, bytes) else orjson.dumps(event) for event in events) + b"\n"
    )
    return path


def scores_in(root: Path) -> Counter[tuple[str, str, int]]:
    """(table, wiki, revision) of all events below an output, failures apart."""
    found: Counter[tuple[str, str, int]] = Counter()
    for file in find_files(str(root), "").files:
        table = Path(file.path).relative_to(root).parts[0]
        for raw in read_file(InputFile(file.path, "", None)):
            event = orjson.loads(raw.data) if isinstance(raw.data, bytes) else raw.data
            if "message" not in event:
                schemas.validator("/mediawiki/revision/score/3.0.0")(event)
                found[table, event["database"], event["rev_id"]] += 1
    return found


def everything_in(root: Path) -> dict[str, bytes]:
    """What lies below an output, but for what is not whole yet."""
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {path: content for path, content in found.items() if not path.startswith(".working/")}


HOURS = [f"datacenter=eqiad/year=2023/month=1/day=24/hour={hour}" for hour in range(4)]


def hourly(folder: Path, edits: int = 400, hours: int = len(HOURS)) -> Path:
    """Real edits in Hive layout, as many in each hour."""
    with gzip.open(EDITS) as lines:
        events = [next(lines).rstrip() for _ in range(edits)]
    for number, hour in enumerate(HOURS[:hours]):
        (folder / hour).mkdir(parents=True)
        events_file(folder / hour / "part-0.jsonl", *events[number::hours])
    return folder


def run(lift_wing: SimulatedLiftWing, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return command(*words_of_run(lift_wing, folder, *options))


def words_of_run(lift_wing: SimulatedLiftWing, folder: Path, *options: str) -> list[str]:
    """`regenerate` of what is in a folder's `in`, into its `out`."""
    places = ["--input", str(folder / "in"), "--output", str(folder / "out")]
    return ["regenerate", *places, "--lift-wing", lift_wing.url, *options]


def rows(root: Path) -> dict[str, list[Any]]:
    """All rows by table and partition, but for when they were written."""
    found: dict[str, list[Any]] = {}
    for file in find_files(str(root), "").files:
        place = str(Path(file.path).relative_to(root).parent)
        for raw in read_file(InputFile(file.path, "", None)):
            row = dict(orjson.loads(raw.data) if isinstance(raw.data, bytes) else raw.data)
            row["meta"] = {name: value for name, value in row["meta"].items() if name != "dt"}
            found.setdefault(place, []).append(
                {name: value for name, value in row.items() if name != "dt" or "message" not in row}
            )
    return {place: sorted(of_place, key=orjson.dumps) for place, of_place in found.items()}
