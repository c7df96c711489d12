"""`regenerate` on a Flink cluster whose workers share nothing but an HDFS: scores a second with one worker
and with two, and what the command that submitted it takes meanwhile.

    python -m tests.benchmarks.flink_workers [--events 200000] [--workers 1,2] [--concurrency 32]

Calls take 50 ms. Each worker has a TaskManager and a Python process of its own; this machine also runs the
HDFS and the simulated Lift Wing. The rate is from the first call to the last.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from runners.local_hdfs import LocalHdfs
from runners.programs import LocalFlinkProgram, Program, SimulatedLiftWingProgram
from tests.benchmarks.inputs import write_hours, write_models
from tests.benchmarks.measuring import table
from tests.support.stores import Store

_LOOK_S = 0.2
_COLUMNS = ["seconds", "calls", "calls a second", "CPU of the command, % of a core"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--concurrency", type=int, default=32, help="calls at once, of the whole run")
    arguments = parser.parse_args()
    workers = [int(count) for count in arguments.workers.split(",")]
    rows: list[list[str | float]] = []
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-batch-") as name,
        SimulatedLiftWingProgram("--latency", "0.05") as lift_wing,
        LocalHdfs(Path(name, "hdfs")) as hdfs,
        LocalFlinkProgram(
            Path(name, "flink"), "--task-managers", str(max(workers)), "--slots", "1"
        ) as cluster,
    ):
        models = write_models(
            Path(name, "models.yaml"), arguments.concurrency, ["damaging"], ["wikidatawiki"]
        )
        store = Store(hdfs.url)
        source = store.put(write_hours(Path(name, "in"), arguments.events), "in")
        for count in workers:
            command = ["regenerate", "--models", str(models), "--lift-wing", lift_wing.url]
            places = ["--input", source, "--output", store / f"out-{count}"]
            where = [f"--flink_master={cluster.address}", f"--environment_config={cluster.workers}"]
            runner = ["--runner=FlinkRunner", *where, f"--parallelism={count}"]
            with Program("pipeline", *command, *places, *runner) as program:
                rows.append([f"{count}", *_watched(program, lift_wing.url)])
    title = f"regenerate on Flink and HDFS, {arguments.events:,} events, calls of 50 ms"
    print(table(title, ["workers", *_COLUMNS], rows), flush=True)


def _watched(program: Program, lift_wing: str) -> list[str | float]:
    """Raises RuntimeError, with what it said, when the run fails."""
    command = psutil.Process(program.process.pid)
    began, before = time.monotonic(), _calls(lift_wing)
    first = last = 0.0
    calls = before
    asking: list[float] = []  # the command's CPU seconds, at looks while calls were made
    while program.process.poll() is None:
        now, told = time.monotonic(), _calls(lift_wing)
        if told > calls:
            first, last, calls = first or now, now, told
            asking.append(sum(command.cpu_times()[:2]))
        time.sleep(_LOOK_S)
    if program.process.returncode:
        raise RuntimeError("".join(program.lines))
    seconds = last - first
    return [
        time.monotonic() - began,
        f"{calls - before:,}",
        (calls - before) / seconds,
        100 * (asking[-1] - asking[0]) / seconds,
    ]


def _calls(lift_wing: str) -> int:
    with urllib.request.urlopen(f"{lift_wing}/stats") as answer:
        return sum(int(told["total"]) for told in json.load(answer)["calls"].values())


if __name__ == "__main__":
    main()
