"""`regenerate` beside what one would write instead: the same real edits, the same calls, a Parquet dataset
per model.

The whole process is measured, its start included, and, from two sizes of input, what each further score
costs. Each may have so many calls in flight. They run in turn, A B A B, so that the noise of the machine
falls on all.

    python -m tests.benchmarks.batch --events 11344,22688 --rounds 3
    python -m tests.benchmarks.batch --events 100000 --rounds 1 --only articletopic,damaging \\
        --without wikidatawiki --systems regenerate,threads,pyspark
    python -m tests.benchmarks.batch --events 100000 --rounds 1 --only damaging \\
        --without wikidatawiki --systems regenerate,regenerate:hdfs,regenerate:s3,pyspark:hdfs

With :hdfs or :s3 a system reads and writes in a real HDFS, or in an S3 on loopback.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import orjson
import pytest

from pipeline.config.models_file import load
from runners.programs import SimulatedLiftWingProgram
from tests.benchmarks.inputs import write_hours, write_models
from tests.benchmarks.measuring import Used, measured, per_10_000, table
from tests.benchmarks.peers.rules import rules_of
from tests.benchmarks.peers.run_pyspark import build
from tests.support.stores import Store, hdfs_store, s3_store

PEERS = {
    "script": ["batch_asyncio"],
    "uvloop": ["batch_asyncio", "--uvloop"],
    "threads": ["batch_threads"],
    "pyspark": ["run_pyspark", "batch_pyspark.py"],
}


class Batch:
    """Runs a job over some events, and counts what it asked for."""

    def __init__(self, folder: Path, arguments: argparse.Namespace, stores: Mapping[str, Store]) -> None:
        self._folder, self._in_flight, self._stores = folder, str(arguments.in_flight), stores
        self._models = write_models(
            folder / "models.yaml",
            arguments.in_flight,
            arguments.only.split(",") if arguments.only else None,
            arguments.without.split(","),
        )
        self._rules = folder / "rules.json"
        self._rules.write_bytes(orjson.dumps(rules_of(load(self._models))))
        self._inputs: dict[tuple[int, str], str] = {}
        self._runs = 0

    def run(self, system: str, count: int, lift_wing: str) -> tuple[int, Used]:
        """The calls that a run made, and what it used."""
        name, _, store = system.partition(":")
        if (count, store) not in self._inputs:
            self._inputs[count, store] = self._input(count, store)
        self._runs += 1
        output = f"{self._folder}/output"
        if store:
            output = self._stores[store] / f"output-{self._runs}"
        urllib.request.urlopen(urllib.request.Request(f"{lift_wing}/stats", method="DELETE")).close()
        where = ["--lift-wing", lift_wing, "--input", self._inputs[count, store], "--output", output]
        if name == "regenerate":
            used = measured("pipeline", "regenerate", "--models", str(self._models), *where)
        else:
            module, *more = PEERS[name]
            used = measured(
                f"tests.benchmarks.peers.{module}",
                *more,
                "--rules",
                str(self._rules),
                "--in-flight",
                self._in_flight,
                *where,
            )
        if not store:
            shutil.rmtree(output)
        with urllib.request.urlopen(f"{lift_wing}/stats") as answer:
            calls = sum(of_model["total"] for of_model in json.load(answer)["calls"].values())
        return calls, used

    def _input(self, count: int, store: str) -> str:
        folder = self._folder / str(count)
        if not folder.exists():
            write_hours(folder, count)
        return self._stores[store].put(folder, str(count)) if store else str(folder)


def compare(batch: Batch, names: list[str], sizes: list[int], rounds: int, latency: float) -> list[str]:
    """Tables of medians, and the ratios to `regenerate`."""
    runs: dict[tuple[str, int], list[Used]] = {}
    calls: dict[int, set[int]] = {}
    with SimulatedLiftWingProgram("--latency", str(latency)) as lift_wing:
        for _ in range(rounds):
            for size in sizes:
                for name in names:
                    count, used = batch.run(name, size, lift_wing.url)
                    runs.setdefault((name, size), []).append(used)
                    calls.setdefault(size, set()).add(count)
                    print(f"{name}, {size:,} events, {count:,} calls: {used.seconds:.0f} s", flush=True)
    rows: list[list[str | float]] = []
    for size in sizes:
        scores = max(calls[size])
        own = _figures(runs[names[0], size], scores)
        for name in names:
            figures = _figures(runs[name, size], scores)
            microseconds = median(used.seconds for used in runs[name, size]) / size * 1e6
            rows.append(
                [f"{name}, {size:,} events", *figures, microseconds, own[0] / figures[0], own[1] / figures[1]]
            )
    for size, counts in calls.items():
        if len(counts) > 1:
            rows.append([f"NOT COMPARABLE: {size} events led to {sorted(counts)} calls", *[""] * 6])
    columns = [
        "",
        "scores/s",
        "CPU s per 10,000",
        "peak MB",
        "µs an event",
        f"{names[0]}'s rate : its",
        f"{names[0]}'s CPU : its",
    ]
    tables = [
        table(f"Batch: whole processes, {latency * 1000:.0f} ms latency, medians of {rounds}", columns, rows)
    ]
    if len(sizes) > 1:
        small, large = sizes[0], sizes[-1]
        more = max(calls[large]) - max(calls[small])
        each = {
            name: per_10_000(
                median(u.cpu_s for u in runs[name, large]) - median(u.cpu_s for u in runs[name, small]), more
            )
            for name in names
        }
        peak = {
            name: median(u.peak_mb for u in runs[name, large]) / median(u.peak_mb for u in runs[name, small])
            for name in names
        }
        columns = ["", "CPU s per 10,000 more scores", f"{names[0]}'s : its", "peak MB, large : small"]
        more_rows: list[list[str | float]] = [
            [name, each[name], each[names[0]] / each[name], peak[name]] for name in names
        ]
        tables.append(table(f"Batch: from {small:,} to {large:,} events", columns, more_rows))
    return tables


@contextmanager
def _stores(folder: Path, names: list[str]) -> Iterator[Mapping[str, Store]]:
    wanted = {name.partition(":")[2] for name in names}
    with ExitStack() as stack:
        stores = {}
        if "hdfs" in wanted:
            stores["hdfs"] = stack.enter_context(hdfs_store(folder / "hdfs"))
        if "s3" in wanted:
            stores["s3"] = stack.enter_context(s3_store(stack.enter_context(pytest.MonkeyPatch.context())))
        yield stores


def _figures(runs: list[Used], scores: int) -> list[float]:
    return [
        median(scores / used.seconds for used in runs),
        median(per_10_000(used.cpu_s, scores) for used in runs),
        median(used.peak_mb for used in runs),
    ]


def main(argv: list[str] | None = None) -> list[str]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", default="11344,22688", help="sizes of input, with a comma between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--only", help="these models, with a comma between (default: all)")
    parser.add_argument("--without", default="", help="these wikis, with a comma between")
    parser.add_argument(
        "--systems",
        default="regenerate,script",
        help=f"with a comma between, of regenerate, {', '.join(PEERS)}, and regenerate:hdfs, regenerate:s3, "
        "pyspark:hdfs (default: regenerate,script)",
    )
    arguments = parser.parse_args(argv)
    names = arguments.systems.split(",")
    if any(name.startswith("pyspark") for name in names):
        build()
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-batch-") as folder,
        _stores(Path(folder), names) as stores,
    ):
        tables = compare(
            Batch(Path(folder), arguments, stores),
            names,
            sorted(int(size) for size in arguments.events.split(",")),
            arguments.rounds,
            arguments.latency,
        )
    print("\n".join(tables), flush=True)
    return tables


if __name__ == "__main__":
    main()
