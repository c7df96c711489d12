"""What one model that hangs for the whole of a batch run does to the other eight, and what becomes of its
partitions.

    python -m tests.benchmarks.batch_isolation [--events 40000] [--latency 0.05] [--model damaging]

First a run in which all models are well, then the same with one that takes calls and never answers. The rate
of the others is theirs alone: their scores over the time until the last of them was asked for.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
import urllib.request
from pathlib import Path

from runners.programs import Program, SimulatedLiftWingProgram
from tests.benchmarks.inputs import write_hours
from tests.benchmarks.measuring import table
from tests.benchmarks.nine_models import write_nine_models


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--latency", default="0.05", help="of Lift Wing (default: 0.05)")
    parser.add_argument("--model", default="damaging")
    arguments = parser.parse_args()
    rows: list[list[str | float]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-batch-") as name:
        folder = Path(name)
        source = write_hours(folder / "in", arguments.events)
        expected = 0
        for state in ("well", "hung"):
            with SimulatedLiftWingProgram("--latency", arguments.latency) as lift_wing:
                if state == "hung":
                    _control(lift_wing.url, {"mode": "hang", "model": arguments.model})
                models = write_nine_models(folder / "models.yaml", lift_wing.url)
                seconds, others, whole = _run(
                    lift_wing.url, models, source, folder / "out", arguments.model, expected
                )
            expected = expected or others
            rows.append([state, str(others), others / seconds, whole[0], whole[1]])
    rows[1][2] = f"{rows[1][2]:.0f} ({float(rows[1][2]) / float(rows[0][2]):.2f})"
    columns = ["", "calls of the others", "a second", "the run, s", "unfinished partitions"]
    print(
        table(
            f"{arguments.model} hangs for the whole run over {arguments.events} events, calls of "
            f"{arguments.latency} s",
            columns,
            rows,
        ),
        flush=True,
    )


def _run(
    lift_wing: str, models: Path, source: Path, output: Path, model: str, expected: int
) -> tuple[float, int, tuple[float, str]]:
    """Until the others were asked for all (0: until the end), how much that is, and how the run ended."""
    began = last = time.monotonic()
    others = 0
    with Program(
        "pipeline", "regenerate", "--models", str(models), "--input", str(source), "--output", str(output)
    ) as program:
        while program.process.poll() is None:
            time.sleep(0.1)
            if (now := _calls(lift_wing, model)) > others:
                others, last = now, time.monotonic()
        program.process.wait()
    if expected and others != expected:
        raise RuntimeError(f"{others} calls of the other models, {expected} in the run before")
    unfinished = next((line.split()[0] for line in program.lines if "not written" in line), "0")
    ended = time.monotonic() - began
    shutil.rmtree(output)
    return last - began, others, (ended, unfinished)


def _calls(lift_wing: str, without: str) -> int:
    with urllib.request.urlopen(f"{lift_wing}/stats") as answer:
        return sum(told["total"] for model, told in json.load(answer)["calls"].items() if model != without)


def _control(lift_wing: str, rule: dict[str, str]) -> None:
    body = json.dumps(rule).encode()
    urllib.request.urlopen(
        urllib.request.Request(
            f"{lift_wing}/control", body, {"Content-Type": "application/json"}, method="POST"
        )
    ).close()


if __name__ == "__main__":
    main()
