"""Memory of each process over a long run.

    python -m tests.benchmarks.soak [--rate 100] [--seconds 1800] [--latency lognormal:0.48:6.5]

Faster motion is a higher rate and a shorter latency: --rate 400 --latency 0.05 makes four hours of 100 calls
a second in one.
"""

from __future__ import annotations

import time

from tests.benchmarks.measuring import table
from tests.benchmarks.overhead import WARM_UP_S
from tests.benchmarks.sampling import COLUMNS, sample
from tests.benchmarks.stage import parser, quantiles, stage

_SAMPLES = 10


def main() -> None:
    arguments = parser(__doc__, rate=100, seconds=1800).parse_args()
    rows: list[list[str | float]] = []
    with stage(arguments) as set_up, set_up.streaming(set_up.folder / "nine_models.yaml"):
        load, ledger, models = set_up.load, set_up.load.ledger, set_up.configuration.models
        load.send_for(arguments.rate, WARM_UP_S)
        began = time.time()
        for _ in range(_SAMPLES):
            window = time.time()
            load.send_for(arguments.rate, arguments.seconds / _SAMPLES)
            rows.append(
                [f"{time.time() - began:.0f}", str(ledger.requests), *sample(set_up.folder / "state"), window]
            )
        load.wait_for_all()
        for row, following in zip(rows, [*(row[-1] for row in rows[1:]), time.time()], strict=True):
            middle, _, most = quantiles(
                ledger.overheads(set_up.lift_wing.draw, models, float(row.pop()), float(following))
            )
            row += [middle, most]
        missing = ledger.requests - ledger.done
    title = (
        f"{arguments.rate:.0f} calls/s of {arguments.latency}: {ledger.requests} requests, {missing} "
        f"missing, {ledger.repeats} repeats"
    )
    print(table(title, ["second", "requests", *COLUMNS, "p50 s", "p99 s"], rows), flush=True)


if __name__ == "__main__":
    main()
