"""The stream beside what one would write instead, in one run: the same load, latencies, models and machine.

    python -m tests.benchmarks.beside_peers [--rates 50,400] [--seconds 60] \\
        [--systems stream,groups,pool,pyflink,pyflink-free] [--faults hang]

groups and pool are the asyncio script with a consumer group for each model, and with one group and one pool
of calls; pyflink waits for each batch, pyflink-free does not. With --faults also what a misbehaving model
does to the others (see isolation.py), at the first rate.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import product

import orjson

from runners.programs import Program
from tests.benchmarks import isolation, overhead
from tests.benchmarks.measuring import cells_of, table
from tests.benchmarks.peers import run_pyflink
from tests.benchmarks.peers.rules import rules_of
from tests.benchmarks.stage import Stage, parser, stage

_IN_FLIGHT = "500"


def main() -> None:
    options = parser(__doc__, seconds=60)
    options.add_argument("--rates", default="50,400", help="calls a second")
    options.add_argument("--systems", default=",".join(SYSTEMS), help="with commas between")
    isolation.add_options(options)
    options.set_defaults(faults="")
    arguments = options.parse_args()
    rates, systems = list(map(float, arguments.rates.split(","))), arguments.systems.split(",")
    if any(name.startswith("pyflink") for name in systems):
        run_pyflink.build()  # which takes minutes the first time
    rows: list[list[str | float]] = []
    for rate, name in product(rates, systems):
        rows.append([name, *_overhead(arguments, name, rate)])
        print("  ".join(cells_of(rows[-1])), flush=True)
    print(table(overhead.title(arguments), ["", *overhead.COLUMNS], rows), flush=True)
    for fault in filter(None, arguments.faults.split(",")):
        arguments.rate = rates[0]
        rows = [[name, *_isolation(arguments, name, fault)] for name in systems]
        print(table(f"{fault}: {isolation.title(arguments)}", ["", *isolation.COLUMNS], rows), flush=True)


def _overhead(arguments: argparse.Namespace, name: str, rate: float) -> list[str | float]:
    with stage(arguments) as set_up, SYSTEMS[name](set_up) as program:
        program.wait_for("^reading")
        set_up.load.send_until_scored()
        return overhead.measure(set_up, rate, arguments.seconds)


def _isolation(arguments: argparse.Namespace, name: str, fault: str) -> list[str | float]:
    with stage(arguments) as set_up, SYSTEMS[name](set_up) as program:
        program.wait_for("^reading")
        set_up.load.send_until_scored()
        return isolation.compare(set_up, arguments, fault)


def _peer(module: str, *more: str) -> Callable[[Stage], Program]:
    def program(set_up: Stage) -> Program:
        rules = set_up.folder / "rules.json"
        rules.write_bytes(orjson.dumps(rules_of(set_up.configuration)))
        topics = ",".join(
            f"{datacenter}.mediawiki.revision-create" for datacenter in set_up.configuration.datacenters
        )
        where = [
            "--kafka",
            set_up.kafka.address,
            "--lift-wing",
            set_up.lift_wing.url,
            "--rules",
            str(rules),
            "--topics",
            topics,
        ]
        return Program(f"tests.benchmarks.peers.{module}", *where, *more)

    return program


SYSTEMS: dict[str, Callable[[Stage], Program]] = {
    "stream": lambda set_up: set_up.stream(set_up.folder / "nine_models.yaml"),
    "groups": _peer("asyncio_script", "--groups", "--in-flight", _IN_FLIGHT),
    "pool": _peer("asyncio_script", "--in-flight", _IN_FLIGHT),
    "pyflink": _peer("run_pyflink"),
    "pyflink-free": _peer("run_pyflink", "--free", "--in-flight", _IN_FLIGHT),
}


if __name__ == "__main__":
    main()
