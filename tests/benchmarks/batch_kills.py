"""`regenerate` killed with -9 at random moments, and gone on with each time: whether it ends as a run that is
left alone, and what it asks twice.

    python -m tests.benchmarks.batch_kills [--events 300000] [--kills 10] [--stores local,hdfs,s3]

The run that is left alone is of this machine; of those that are killed, input and output lie in the store.
Then `audit` and `compact` go over what the kills left, and pyarrow, DuckDB and Spark compare all rows, Spark
by a metastore; it reads no S3 here, for which it needs Amazon's SDK. A reader looks at a local dataset all
the time, as its users do, and counts partitions that are not whole. Exit code 1 when anything is not as it
should be.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runners.programs import Program, SimulatedLiftWingProgram, run
from tests.benchmarks.digests import of_duckdb, of_pyarrow, of_spark
from tests.benchmarks.inputs import write_hours, write_models
from tests.benchmarks.meanwhile import meanwhile
from tests.benchmarks.measuring import table
from tests.benchmarks.peers.run_pyspark import build
from tests.support.stores import Store, hdfs_store, s3_store
from transforms.datasets.storage_paths import Place, place_at

_STORES = ("local", "hdfs", "s3")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--stores", default="local", help=f"of {', '.join(_STORES)} (default: local)")
    parser.add_argument("--only", default="damaging,articletopic", help="models, with commas between")
    arguments = parser.parse_args()
    build()
    told: list[list[str | float]] = []
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-batch-") as name,
        SimulatedLiftWingProgram("--latency", "0.05") as lift_wing,
    ):
        folder = Path(name)
        models = write_models(folder / "models.yaml", 64, arguments.only.split(","), ["wikidatawiki"])
        source = write_hours(folder / "in", arguments.events)
        asking = ["pipeline", "regenerate", "--models", str(models), "--lift-wing", lift_wing.url]
        began = time.monotonic()
        with Program(*asking, "--input", str(source), "--output", str(folder / "alone")) as program:
            _succeeded(program)
        seconds, expected = time.monotonic() - began, _calls(lift_wing.url)
        alone = _digests(folder / "alone", folder / "spark-alone")
        for store in arguments.stores.split(","):
            before = _calls(lift_wing.url)
            with _store(store, folder) as remote, _temporary(folder / f"tmp-{store}") as temporary:
                there = remote.put(source, "in") if remote else str(source)
                output = remote / "out" if remote else str(folder / "out")
                reader = _Reader(folder / "out")
                with nullcontext() if remote else meanwhile(reader.look, 0.1):
                    command = [*asking, "--input", there, "--output", output]
                    repeated = _killed(command, arguments.kills, seconds)
                asked = _calls(lift_wing.url) - before
                audit = ("pipeline", "audit", "--models", str(models), "--input", there, "--scores", output)
                audited, compacted = run(*audit), run("pipeline", "compact", output, "--models", str(models))
                killed = _digests(place_at(output), folder / f"spark-{store}", with_spark=store != "s3")
                left = [path.name for path in temporary.rglob("*") if path.is_file()]
            if audited.returncode or compacted.returncode:
                print(audited.stdout, audited.stderr, compacted.stdout, compacted.stderr, sep="\n")
            differ = [engine for engine in killed if killed[engine] != alone[engine]]
            told.append(
                [
                    store,
                    f"{repeated}",
                    f"{expected:,}",
                    f"{asked - expected:,}",
                    f"{reader.torn} of {reader.looks:,}",
                    f"{audited.returncode}, {compacted.returncode}",
                    "yes" if not differ else f"NO: {', '.join(differ)}",
                    ", ".join(left) or "none",
                ]
            )
            print("  ".join(map(str, told[-1])), flush=True)
    header = ["", "kills", "calls of the run left alone", "calls more", "looks torn", "audit, compact"]
    header += ["rows alike", "files left in the temporary folder"]
    print(table(f"kill -9 again and again, {arguments.events:,} events", header, told), flush=True)
    return int(any(row[5:] != ["0, 0", "yes", "none"] or not str(row[4]).startswith("0") for row in told))


@contextmanager
def _store(store: str, folder: Path) -> Iterator[Store | None]:
    """None: this machine."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        if store == "local":
            yield None
        elif store == "hdfs":
            with hdfs_store(folder / "hdfs") as hdfs:
                yield hdfs
        else:
            with s3_store(monkeypatch) as s3:
                yield s3


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """A folder that is what commands take for their temporary files, in which nothing of theirs may stay."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TMPDIR", str(folder))
        yield folder


def _digests(root: Place, spark_folder: Path, with_spark: bool = True) -> dict[str, object]:
    """What each engine says of all rows of all tables, but for the time of writing."""
    found: dict[str, object] = {"pyarrow": of_pyarrow(root), "DuckDB": of_duckdb(root)}
    if with_spark:
        found["Spark"] = of_spark(root, spark_folder)
    return found


def _succeeded(program: Program) -> None:
    if program.process.wait():
        raise RuntimeError("".join(program.lines))


def _killed(command: list[str], kills: int, seconds: float) -> int:
    """Kills runs until there were so many or one came to its end; then one is left alone. Gives the number of
    kills."""
    done = 0
    for number in range(kills):
        with Program(*command, *(["--resume"] if number else [])) as program:
            time.sleep(random.uniform(1.5, 1.5 + seconds / kills))  # before that, it starts
            if program.process.poll() is None:
                program.process.kill()
                done += 1
            program.process.wait()
    with Program(*command, "--resume") as program:
        _succeeded(program)
    return done


def _calls(lift_wing: str) -> int:
    with urllib.request.urlopen(f"{lift_wing}/stats") as answer:
        return sum(int(told["total"]) for told in json.load(answer)["calls"].values())


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
    sys.exit(main())
