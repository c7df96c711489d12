"""Runs seeds and prints what is violated.

python -m tests.simulator [--seeds 200] [--first 0] [--processes 1]
python -m tests.simulator --seed 7      # again, with its last events
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from tests.simulator.run import Run
from tests.simulator.scenario import scenario_of

SHOWN = 5  # violations of a run


class Result(NamedTuple):
    seed: int
    violations: Sequence[str]
    trace: Sequence[str]


def result_of(seed: int) -> Result:
    run = Run(scenario_of(seed))
    violations = run.run()
    return Result(seed, violations, [*run.trace])


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.simulator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--seeds", type=int, default=200)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--seed", type=int)
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--stop", action="store_true", help="at the first seed that fails")
    arguments = options.parse_args()
    if arguments.seed is not None:
        result = result_of(arguments.seed)
        print(*result.trace, sep="\n")
        show(result)
        return bool(result.violations)
    began, failed = time.monotonic(), []
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    with ProcessPoolExecutor(arguments.processes) as pool:
        for result in (
            pool.map(result_of, seeds, chunksize=4) if arguments.processes > 1 else map(result_of, seeds)
        ):
            if result.violations:
                failed.append(result.seed)
                show(result)
                if arguments.stop:
                    break
    took = time.monotonic() - began
    seeds_failed = ", ".join(map(str, failed)) or "none"
    print(f"{len(seeds)} seeds in {took:.0f} s, {len(failed)} with violations: {seeds_failed}")
    return bool(failed)


def show(result: Result) -> None:
    for violation in result.violations[:SHOWN]:
        print(f"seed {result.seed}: {violation}", flush=True)
    if len(result.violations) > SHOWN:
        print(f"seed {result.seed}: and {len(result.violations) - SHOWN} more", flush=True)


if __name__ == "__main__":
    sys.exit(main())
