"""The highest rate that the stream keeps up with: steps of so many calls a second more, until the requests
without a score pile up.

    python -m tests.benchmarks.highest_rate [--rate 400] [--step 100] [--seconds 40] [--most 2000]

A step is kept up with when in its second half at least 97 of 100 scores come for 100 requests sent. This
machine also runs the broker, the simulated Lift Wing and what sends and counts: with less around it the
stream does more.
"""

from __future__ import annotations

import time
from itertools import count

from tests.benchmarks.measuring import cells_of, per_10_000, table
from tests.benchmarks.processes import cpu_s, flink_mb, rss_mb
from tests.benchmarks.stage import Stage, parser, quantiles, stage

_KEPT_UP = 0.97
_COLUMNS = [
    "calls/s",
    "sent/s",
    "scored/s",
    "open at end",
    "p50 s",
    "p99 s",
    "CPU s: Python",
    "CPU s: Java",
    "MB: worker",
    "MB: Flink",
    "keeps up",
]


def main() -> None:
    options = parser(__doc__, rate=400, seconds=40)
    options.add_argument("--step", type=float, default=100, help="calls a second more, each time")
    options.add_argument("--most", type=float, default=2_000, help="the last step at the latest")
    arguments = options.parse_args()
    rows: list[list[str | float]] = []
    with stage(arguments) as set_up, set_up.streaming(set_up.folder / "nine_models.yaml"):
        for number in count():
            rate = arguments.rate + number * arguments.step
            if rate > arguments.most:
                break
            rows.append(_step(set_up, rate, arguments.seconds))
            print("  ".join(cells_of(rows[-1])), flush=True)
            if rows[-1][-1] == "no":
                break
    highest = max(
        (str(row[0]) for row in rows if row[-1] == "yes"), default="less than the first step", key=float
    )
    print(
        table(
            f"highest sustained rate: {highest} calls/s of {arguments.latency}; CPU seconds per "
            "10,000 scores",
            _COLUMNS,
            rows,
        ),
        flush=True,
    )


def _step(set_up: Stage, rate: float, seconds: float) -> list[str | float]:
    load, ledger = set_up.load, set_up.load.ledger
    load.send_for(rate, seconds / 2)
    began, cpu, sent, done = time.time(), cpu_s(), ledger.requests, ledger.done
    load.send_for(rate, seconds / 2)
    took, used, sent, done = time.time() - began, cpu_s(), ledger.requests - sent, ledger.done - done
    memory, still_open = rss_mb(), ledger.requests - ledger.done
    costs = [per_10_000(used[name] - cpu[name], done) for name in ("python", "java")]
    load.drain()  # what one step leaves undone is none of the next one's
    middle, _, most = quantiles(
        ledger.overheads(set_up.lift_wing.draw, set_up.configuration.models, began, began + took)
    )
    kept_up = "yes" if done >= _KEPT_UP * sent else "no"
    return [
        f"{rate:.0f}",
        sent / took,
        done / took,
        f"{still_open}",
        middle,
        most,
        *costs,
        memory["Python worker"],
        flink_mb(memory),
        kept_up,
    ]


if __name__ == "__main__":
    main()
