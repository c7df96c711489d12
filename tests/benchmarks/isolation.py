"""What one model that misbehaves does to the other eight, and whether it gets all its scores when it comes
back.

    python -m tests.benchmarks.isolation [--faults hang,status,slow,refuse] [--model damaging] \\
        [--seconds 120] [--fault-seconds 180]

For each fault a run of its own: first without it, for comparison, then with it at the same load, then the
model is well again. hang: calls are taken and never answered. status: 503 to everything. slow: 20 s for each
call. refuse: no connection.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from tests.benchmarks.measuring import cells_of, table
from tests.benchmarks.nine_models import write_nine_models
from tests.benchmarks.overhead import WARM_UP_S
from tests.benchmarks.stage import Stage, parser, quantiles, stage

FAULTS: dict[str, dict[str, Any]] = {
    "hang": {"mode": "hang"},
    "status": {"mode": "status", "status": 503},
    "slow": {"mode": "slow", "seconds": 20},
    "refuse": {"mode": "refuse"},
}
COLUMNS = [
    *("others/s before", "with it", "ratio", "p99 s before", "with it", "ratio"),
    *("its requests", "open at return", "scored", "failed", "missing", "catches up in s"),
]


def main() -> None:
    options = parser(__doc__, rate=50, seconds=120)
    add_options(options)
    arguments = options.parse_args()
    rows = []
    for fault in arguments.faults.split(","):
        rows.append([fault, *isolation(arguments, fault)])
        print("  ".join(cells_of(rows[-1])), flush=True)
    print(table(title(arguments), ["fault", *COLUMNS], rows), flush=True)


def add_options(options: argparse.ArgumentParser) -> None:
    options.add_argument("--faults", default=",".join(FAULTS), help="with commas between")
    options.add_argument("--model", default="damaging", help="that misbehaves (default: damaging)")
    options.add_argument("--fault-seconds", type=float, default=180, help="how long it does (default: 180)")
    options.add_argument(
        "--patience",
        type=float,
        default=300,
        help="seconds without any new score after which the rest counts as missing (default: 300)",
    )


def title(arguments: argparse.Namespace) -> str:
    load = f"{arguments.rate:.0f} calls/s of {arguments.latency}"
    return (
        f"{arguments.model} misbehaves for {arguments.fault_seconds:.0f} s at {load}; the other models, "
        "and then itself"
    )


def isolation(arguments: argparse.Namespace, fault: str) -> list[str | float]:
    with stage(arguments) as set_up:
        addresses = {arguments.model: set_up.lift_wing.other_url} if fault == "refuse" else {}
        with set_up.streaming(
            write_nine_models(set_up.folder / "models.yaml", set_up.lift_wing.url, addresses=addresses)
        ):
            return compare(set_up, arguments, fault)


def compare(set_up: Stage, arguments: argparse.Namespace, fault: str) -> list[str | float]:
    load, ledger, model = set_up.load, set_up.load.ledger, arguments.model
    others = [name for name in set_up.configuration.models if name != model]
    load.send_for(arguments.rate, WARM_UP_S)
    times = [time.time()]
    counts = [sum(ledger.scored_of[name] for name in others)]
    for seconds, wanted in ((arguments.seconds, None), (arguments.fault_seconds, FAULTS[fault])):
        if wanted:
            set_up.lift_wing.control(**wanted, **({} if fault == "refuse" else {"model": model}))
        load.send_for(arguments.rate, seconds)
        times.append(time.time())
        counts.append(sum(ledger.scored_of[name] for name in others))
    still_open = ledger.open_of([model])
    set_up.lift_wing.clear()
    caught_up = load.wait_for_all(arguments.patience)
    took = time.time() - times[-1]
    rates = [(counts[at + 1] - counts[at]) / (times[at + 1] - times[at]) for at in (0, 1)]
    p99s = [
        quantiles(ledger.overheads(set_up.lift_wing.draw, others, times[at], times[at + 1]))[2]
        for at in (0, 1)
    ]
    fate = [
        ledger.sent_of[model],
        still_open,
        ledger.scored_of[model],
        ledger.failed_of[model],
        ledger.open_of([model]),
    ]
    return [
        *rates,
        rates[1] / rates[0],
        *p99s,
        p99s[1] / p99s[0],
        *map(str, fate),
        took if caught_up else "never",
    ]


if __name__ == "__main__":
    main()
