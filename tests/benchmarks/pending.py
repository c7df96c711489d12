"""A million pending requests of a dead model: the memory of each process, and how the other models do
meanwhile.

    python -m tests.benchmarks.pending [--requests 1000000] [--fault status|refuse|hang] [--rate 100] \\
        [--seconds 30] [--latency 0.05]

First, for comparison, --seconds at --rate with all models well. Then damaging is dead,
and events come as fast as the stream takes them: as long as the other models have fewer than --ahead requests
open. At each tenth of the way, and at the end, the events come for --seconds at --rate again, and the other
models' overhead is measured in that time. Most events ask for damaging and little else.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial

from tests.benchmarks.edits import Edits
from tests.benchmarks.isolation import FAULTS
from tests.benchmarks.ledger import Ledger
from tests.benchmarks.measuring import cells_of, table
from tests.benchmarks.nine_models import write_nine_models
from tests.benchmarks.overhead import WARM_UP_S
from tests.benchmarks.sampling import COLUMNS, sample
from tests.benchmarks.stage import Stage, parser, quantiles, stage
from transforms.models.model import Configuration

DEAD = "damaging"
WITHOUT = "goodfaith"  # every edit that asks for one of the two asks for both
_STEPS = 10


def main() -> None:
    options = parser(__doc__, rate=100, seconds=30, latency="0.05")
    options.add_argument(
        "--requests", type=int, default=1_000_000, help="pending at the end (default: 1,000,000)"
    )
    options.add_argument(
        "--fault", choices=list(FAULTS), default="status", help="of the dead model (default: status, 503)"
    )
    options.add_argument(
        "--ahead",
        type=int,
        default=500,
        help="open requests of the other models up to which events are sent (default: 500)",
    )
    arguments = options.parse_args()
    with stage(arguments, edits) as set_up:
        addresses = {DEAD: set_up.lift_wing.other_url} if arguments.fault == "refuse" else {}
        with set_up.streaming(
            write_nine_models(set_up.folder / "models.yaml", set_up.lift_wing.url, {WITHOUT}, addresses)
        ):
            rows = _fill(set_up, arguments)
    title = (
        f"pending requests of a dead model ({arguments.fault}); the other models at "
        f"{arguments.rate:.0f} calls/s of {arguments.latency}"
    )
    print(
        table(title, ["pending", "second", "fills/s", *COLUMNS, "others/s", "p50 s", "p99 s"], rows),
        flush=True,
    )


def edits(configuration: Configuration) -> Edits:
    models = {name: model for name, model in configuration.models.items() if name != WITHOUT}
    return Edits(replace(configuration, models=models), lambda wanted: DEAD in wanted)


def _fill(set_up: Stage, arguments: argparse.Namespace) -> list[list[str | float]]:
    load, ledger = set_up.load, set_up.load.ledger
    others = [name for name in set_up.configuration.models if name != DEAD]
    load.send_for(arguments.rate, WARM_UP_S)
    rows = [_row(set_up, arguments, others, 0.0, 0.0)]
    print("  ".join(cells_of(rows[-1])), flush=True)
    set_up.lift_wing.control(
        **FAULTS[arguments.fault], **({} if arguments.fault == "refuse" else {"model": DEAD})
    )
    began = time.time()
    for step in range(1, _STEPS + 1):
        wanted, before, start = arguments.requests * step // _STEPS, ledger.open_of([DEAD]), time.time()
        load.pile_up(others, arguments.ahead, partial(_has_pending, ledger, wanted))
        fills = (ledger.open_of([DEAD]) - before) / (time.time() - start)
        rows.append(_row(set_up, arguments, others, time.time() - began, fills))
        print("  ".join(cells_of(rows[-1])), flush=True)
    return rows


def _has_pending(ledger: Ledger, count: int) -> bool:
    return ledger.open_of([DEAD]) >= count


def _row(
    set_up: Stage, arguments: argparse.Namespace, others: list[str], second: float, fills: float
) -> list[str | float]:
    load, ledger = set_up.load, set_up.load.ledger
    began, before = time.time(), sum(ledger.scored_of[name] for name in others)
    load.send_for(arguments.rate, arguments.seconds)
    rate = (sum(ledger.scored_of[name] for name in others) - before) / (time.time() - began)
    load.wait(lambda: ledger.open_of(others) == 0)
    middle, _, most = quantiles(ledger.overheads(set_up.lift_wing.draw, others, began))
    return [
        f"{ledger.open_of([DEAD])}",
        f"{second:.0f}",
        fills,
        *sample(set_up.folder / "state"),
        rate,
        middle,
        most,
    ]


if __name__ == "__main__":
    main()
