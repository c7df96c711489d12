"""`regenerate` beside a hand-written asyncio + aiohttp + orjson script: the same real edits, the same calls, a Parquet dataset per model.

The whole process is measured, its start included, and, from two sizes of input, what each further score costs. Both may have 64 calls
in flight. They run in turn, A B A B, so that the noise of the machine falls on both. Then the memory of `regenerate` over ten times the
input, where calls cost no time.

    python -m tests.benchmarks.batch --events 11344,22688 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import urllib.request
from pathlib import Path
from statistics import median

from runners.programs import SimulatedLiftWingProgram
from tests.benchmarks.inputs import write_events, write_models
from tests.benchmarks.measuring import Used, measured, per_10_000, table

RUNS = {
    "regenerate": ["pipeline", "regenerate"],
    "script": ["tests.benchmarks.batch_script"],
    "script on uvloop": ["tests.benchmarks.batch_script", "--uvloop"],
}


class Batch:
    """Runs a job over some events, and counts what it asked for."""

    def __init__(self, folder: Path, in_flight: int) -> None:
        self._folder = folder
        self._models = write_models(folder / "models.yaml", in_flight, in_flight)
        self._inputs: dict[int, Path] = {}

    def run(self, name: str, count: int, lift_wing: str) -> tuple[int, Used]:
        """The calls that a run made, and what it used."""
        if count not in self._inputs:
            self._inputs[count] = write_events(self._folder / f"{count}.jsonl.gz", count)
        output = self._folder / "output"
        urllib.request.urlopen(urllib.request.Request(f"{lift_wing}/stats", method="DELETE")).close()
        where = ["--models", str(self._models), "--lift-wing", lift_wing, "--input", str(self._inputs[count]), "--output", str(output)]
        used = measured(*RUNS[name], *where)
        shutil.rmtree(output)
        with urllib.request.urlopen(f"{lift_wing}/stats") as answer:
            calls = sum(of_model["total"] for of_model in json.load(answer)["calls"].values())
        return calls, used


def compare(batch: Batch, names: list[str], sizes: list[int], rounds: int, latency: float) -> list[str]:
    """Tables of medians, and the ratios to the script."""
    runs: dict[tuple[str, int], list[Used]] = {}
    calls: dict[int, set[int]] = {}
    with SimulatedLiftWingProgram("--latency", str(latency)) as lift_wing:
        for _ in range(rounds):
            for size in sizes:
                for name in names:
                    count, used = batch.run(name, size, lift_wing.url)
                    runs.setdefault((name, size), []).append(used)
                    calls.setdefault(size, set()).add(count)
    rows: list[list[str | float]] = []
    for size in sizes:
        scores = max(calls[size])
        for name in names:
            of_both = {key: _figures(runs[key, size], scores) for key in (name, "script")}
            ratios = [own / scripts for own, scripts in zip(of_both[name], of_both["script"], strict=True)]
            rows.append([f"{name}, {size:,} events", *of_both[name], ratios[0], ratios[1]])
    for size, counts in calls.items():
        if len(counts) > 1:
            rows.append([f"NOT COMPARABLE: {size} events led to {sorted(counts)} calls", *[""] * 5])
    columns = ["", "scores/s", "CPU s per 10,000", "peak MB", "scores/s : script", "CPU : script"]
    tables = [table(f"Batch: whole processes, {latency * 1000:.0f} ms latency, medians of {rounds}", columns, rows)]
    if len(sizes) > 1:
        small, large = sizes[0], sizes[-1]
        more = max(calls[large]) - max(calls[small])
        each = {name: per_10_000(median(u.cpu_s for u in runs[name, large]) - median(u.cpu_s for u in runs[name, small]), more) for name in names}
        columns = ["", "CPU s per 10,000 more scores", "CPU : script"]
        tables.append(table(f"Batch: from {small:,} to {large:,} events", columns, [[name, each[name], each[name] / each["script"]] for name in names]))
    return tables


def _figures(runs: list[Used], scores: int) -> list[float]:
    return [median(scores / used.seconds for used in runs), median(per_10_000(used.cpu_s, scores) for used in runs), median(used.peak_mb for used in runs)]


def memory(batch: Batch, small: int) -> str:
    """How much more `regenerate` needs at its peak for ten times the input."""
    with SimulatedLiftWingProgram("--latency", "0") as lift_wing:
        runs = {size: batch.run("regenerate", size, lift_wing.url)[1] for size in (small, 10 * small)}
    peaks = {size: used.peak_mb for size, used in runs.items()}
    rows: list[list[str | float]] = [[f"{size:,} events", peak, peak / peaks[small]] for size, peak in peaks.items()]
    return table("Batch: memory of regenerate, 0 ms latency", ["", "peak MB", "ratio"], rows)


def main(argv: list[str] | None = None) -> list[str]:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.batch", description="regenerate beside a hand-written script.")
    parser.add_argument("--events", default="11344,22688", help="sizes of input, with a comma between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--uvloop", action="store_true", help="also the script on uvloop")
    parser.add_argument("--memory", type=int, default=11344, metavar="EVENTS", help="compare the peak for so many events and ten times as many; 0: not")
    arguments = parser.parse_args(argv)
    names = [name for name in RUNS if arguments.uvloop or name != "script on uvloop"]
    sizes = sorted(int(size) for size in arguments.events.split(","))
    with tempfile.TemporaryDirectory(prefix="benchmark-batch-") as folder:
        batch = Batch(Path(folder), arguments.in_flight)
        tables = compare(batch, names, sizes, arguments.rounds, arguments.latency)
        if arguments.memory:
            tables.append(memory(batch, arguments.memory))
    print("\n".join(tables), flush=True)
    return tables


if __name__ == "__main__":
    main()
