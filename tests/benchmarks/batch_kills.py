"""`regenerate` killed with -9 at random moments, and gone on with each time: whether it ends as a run that is
left alone, and what it asks twice.

    python -m tests.benchmarks.batch_kills [--events 300000] [--kills 10] [--hdfs]

A reader looks at the datasets all the time, as their users do, and counts partitions that are not whole. With
--hdfs input and killed output lie in an HDFS, and nobody looks meanwhile; the run that is left alone is here.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import urllib.request
from contextlib import nullcontext
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from runners.local_hdfs import LocalHdfs
from runners.programs import Program, SimulatedLiftWingProgram
from tests.benchmarks.inputs import write_hours, write_models
from tests.benchmarks.meanwhile import meanwhile
from tests.benchmarks.measuring import table
from tests.support.stores import Store


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--hdfs", action="store_true")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-batch-") as name,
        SimulatedLiftWingProgram("--latency", "0.05") as lift_wing,
    ):
        folder = Path(name)
        models = write_models(folder / "models.yaml", 64, ["damaging", "articletopic"], ["wikidatawiki"])
        source = write_hours(folder / "in", arguments.events)
        command = ["pipeline", "regenerate", "--models", str(models), "--lift-wing", lift_wing.url, "--input"]
        began = time.monotonic()
        with Program(*command, str(source), "--output", str(folder / "alone")) as program:
            _succeeded(program)
        seconds = time.monotonic() - began
        expected = _calls(lift_wing.url)
        reader = _Reader(folder / "killed")
        with LocalHdfs(folder / "hdfs") if arguments.hdfs else nullcontext() as hdfs:
            if hdfs:
                store = Store(hdfs.url)
                there = store.put(source, "in")
                repeated = _killed([*command, there], store / "out", arguments.kills, seconds)
                store.get("out", folder / "killed")
            else:
                with meanwhile(reader.look, 0.1):
                    killed = str(folder / "killed")
                    repeated = _killed([*command, str(source)], killed, arguments.kills, seconds)
        calls = _calls(lift_wing.url) - 2 * expected
        same = _rows(folder / "alone") == _rows(folder / "killed")
        largest = max(
            orjson.loads(manifest.read_bytes())["rows"]
            for manifest in (folder / "alone").rglob("_manifest.json")
        )
    rows: list[list[str | float]] = [
        ["kills", str(repeated)],
        ["calls of a run that is left alone", str(expected)],
        ["calls asked twice, of all kills together", str(calls)],
        ["rows of the largest unit of work", str(largest)],
        ["all rows equal but for meta.dt", "yes" if same else "NO"],
        ["looks of a reader at partitions, of them not whole", f"{reader.looks}, {reader.torn}"],
    ]
    print(
        table(f"Batch: kill -9 again and again, {arguments.events:,} events", ["", "figure"], rows),
        flush=True,
    )


def _succeeded(program: Program) -> None:
    if program.process.wait():
        raise RuntimeError("".join(program.lines))


def _killed(command: list[str], output: str, kills: int, seconds: float) -> int:
    """Kills runs until there were so many or one came to its end; then one is left alone. Gives the number of
    kills."""
    done = 0
    for number in range(kills):
        with Program(*command, "--output", output, *(["--resume"] if number else [])) as program:
            time.sleep(random.uniform(1.5, 1.5 + seconds / kills))  # before that, it starts
            if program.process.poll() is None:
                program.process.kill()
                done += 1
            program.process.wait()
    with Program(*command, "--output", output, "--resume") as program:
        _succeeded(program)
    return done


def _calls(lift_wing: str) -> int:
    with urllib.request.urlopen(f"{lift_wing}/stats") as answer:
        return sum(int(told["total"]) for told in json.load(answer)["calls"].values())


def _rows(root: Path) -> pa.Table:
    """All rows by table and place, without the time of writing."""
    tables = []
    for part in sorted(root.rglob("part-*.parquet"), key=lambda part: part.parent):
        rows = pq.read_table(part, partitioning=None)
        meta = pa.array(
            [
                {name: value for name, value in meta.items() if name != "dt"}
                for meta in rows["meta"].to_pylist()
            ]
        )
        place = pa.array([str(part.parent.relative_to(root))] * rows.num_rows)
        tables.append(
            rows.set_column(rows.schema.get_field_index("meta"), "meta", meta).append_column("place", place)
        )
    return pa.concat_tables(tables)


class _Reader:
    """Looks whether the partitions that are there are whole."""

    def __init__(self, root: Path) -> None:
        self.looks = self.torn = 0
        self._root = root

    def look(self) -> None:
        for partition in list(self._root.glob("mediawiki_revision_score_*/*/*/*/*/*")):
            self.looks += 1
            try:
                told = orjson.loads((partition / "_manifest.json").read_bytes())
                rows = sum(pq.read_metadata(part).num_rows for part in partition.glob("part-*"))
            except (OSError, pa.ArrowException):
                self.torn += 1
            else:
                self.torn += rows != told["rows"]


if __name__ == "__main__":
    main()
