"""What the stream adds to a call: Kafka-to-Kafka time less the time that the simulated Lift Wing itself holds
the call.

    python -m tests.benchmarks.overhead [--rates 50,400] [--seconds 60] [--latency lognormal:0.48:6.5]

The real command, a real broker, a real Flink; this machine also runs what sends, answers and counts. The
first ten seconds of a run do not count. CPU: of the system's Python processes, and of Flink's, for 10,000
scores.
"""

from __future__ import annotations

import argparse
import time

from tests.benchmarks.measuring import per_10_000, table
from tests.benchmarks.processes import cpu_s, system_mb
from tests.benchmarks.stage import Stage, parser, quantiles, stage

WARM_UP_S = 10
COLUMNS = [
    "calls/s",
    "requests",
    "scored",
    "p50 s",
    "p90 s",
    "p99 s",
    "CPU s: Python",
    "CPU s: Java",
    "MB: Python",
    "MB: Java",
]


def main() -> None:
    options = parser(__doc__, seconds=60)
    options.add_argument("--rates", default="50,400", help="calls a second")
    arguments = options.parse_args()
    rows = [["stream", *overhead(arguments, rate)] for rate in map(float, arguments.rates.split(","))]
    print(table(title(arguments), ["", *COLUMNS], rows), flush=True)


def title(arguments: argparse.Namespace) -> str:
    return (
        f"what a system adds to calls of {arguments.latency}, over {arguments.seconds:.0f} s; CPU "
        "seconds per 10,000 scores"
    )


def overhead(arguments: argparse.Namespace, rate: float) -> list[str | float]:
    with stage(arguments) as set_up, set_up.streaming(set_up.folder / "nine_models.yaml"):
        return measure(set_up, rate, arguments.seconds)


def measure(set_up: Stage, rate: float, seconds: float) -> list[str | float]:
    """A row of COLUMNS, of a system that is up."""
    load = set_up.load
    load.send_for(rate, WARM_UP_S)
    began, before, done = time.time(), cpu_s(), load.ledger.done
    load.send_for(rate, seconds)
    used, memory, scores = cpu_s(), system_mb(), load.ledger.done - done
    load.drain()
    rising = load.ledger.overheads(set_up.lift_wing.draw, set_up.configuration.models, began)
    scored = sum(1 for request in load.ledger.all(began) if request.times)
    costs = [
        per_10_000(used[name] - before[name], scores) if scores else float("nan")
        for name in ("python", "java")
    ]
    return [f"{rate:.0f}", str(len(rising)), str(scored), *quantiles(rising), *costs, *memory.values()]


if __name__ == "__main__":
    main()
