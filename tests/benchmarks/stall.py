"""How long requests wait that came while their endpoint gave no sign of life, once it is back; and what the
other models notice of it.

    python -m tests.benchmarks.stall [--stalls 8,40] [--rate 20] [--model damaging] [--seconds 60]

Edits of enwiki, so that each model has one endpoint, with the calls at once of the shipped models file. A
stall takes calls and answers them at its end.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from collections.abc import Collection
from pathlib import Path

import yaml

from tests.benchmarks.edits import Edits
from tests.benchmarks.inputs import MODELS, with_on
from tests.benchmarks.ledger import Ledger
from tests.benchmarks.measuring import cells_of, table
from tests.benchmarks.overhead import WARM_UP_S
from tests.benchmarks.stage import Stage, parser, stage
from transforms.models.model import Configuration

WIKI = "enwiki"
COLUMNS = [
    "requests of the stall",
    "scored",
    "their median wait s",
    "p90",
    "longest",
    "new ones' p99 after it s",
    "others' longest before s",
    "in it",
]


def main() -> None:
    options = parser(__doc__, rate=20, seconds=60, latency="0.2")
    options.add_argument("--stalls", default="8,40", help="seconds, with commas between (default: 8,40)")
    options.add_argument("--model", default="damaging", help="that stalls (default: damaging)")
    options.add_argument(
        "--patience",
        type=float,
        default=300,
        help="seconds without any new score after which the rest counts as missing (default: 300)",
    )
    arguments = options.parse_args()
    rows = []
    for seconds in map(float, arguments.stalls.split(",")):
        with (
            stage(arguments, lambda configuration: Edits(of_wiki(configuration))) as set_up,
            set_up.streaming(write_models(set_up)),
        ):
            rows.append([f"{seconds:g} s", *stalled(set_up, arguments, seconds)])
        print("  ".join(cells_of(rows[-1])), flush=True)
    print(
        table(f"{arguments.model} of {WIKI} stalls at {arguments.rate:g} edits/s", ["stall", *COLUMNS], rows),
        flush=True,
    )


def of_wiki(configuration: Configuration) -> Configuration:
    models = {
        name: dataclasses.replace(model, endpoints={WIKI: model.endpoints[WIKI]})
        for name, model in configuration.models.items()
        if WIKI in model.endpoints
    }
    return dataclasses.replace(configuration, models=models)


def write_models(set_up: Stage) -> Path:
    """The shipped file, with the endpoints of one wiki."""
    told = with_on(yaml.safe_load(MODELS.read_text(encoding="utf-8")))
    told["lift_wing"]["url"] = set_up.lift_wing.url
    kept = of_wiki(set_up.configuration).models
    told["models"] = {
        name: {**model, "wikis": {WIKI: {"on": kept[name].endpoints[WIKI].on}}}
        for name, model in told["models"].items()
        if name in kept
    }
    file = set_up.folder / "models.yaml"
    file.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    return file


def stalled(set_up: Stage, arguments: argparse.Namespace, seconds: float) -> list[str | float]:
    load, ledger, model = set_up.load, set_up.load.ledger, arguments.model
    others = [name for name in of_wiki(set_up.configuration).models if name != model]
    calls = arguments.rate * len(ledger.edits.edit(0).models)
    load.send_for(calls, WARM_UP_S)
    times = [time.time()]
    load.send_for(calls, arguments.seconds)
    times.append(time.time())
    set_up.lift_wing.control(mode="hang", model=model)
    load.send_for(calls, seconds)
    set_up.lift_wing.clear()
    times.append(time.time())
    load.send_for(calls, arguments.seconds)
    load.wait_for_all(arguments.patience)
    met = waits(ledger, [model], times[1], times[2], since_end=times[2])
    after = waits(ledger, [model], times[2], math.inf)
    before, during = (waits(ledger, others, times[at], times[at + 1]) for at in (0, 1))
    scored = sum(wait < math.inf for wait in met)
    return [
        str(len(met)),
        str(scored),
        *(at(met, share) for share in (0.5, 0.9, 1.0)),
        at(after, 0.99),
        before[-1],
        during[-1],
    ]


def waits(
    ledger: Ledger, models: Collection[str], since: float, until: float, since_end: float = 0.0
) -> list[float]:
    """Seconds from the event, or from the end of the stall, to the score, rising; infinite where none
    came."""
    found = (request for request in ledger.all(since, until) if request.model in models)
    return sorted(
        request.scored - max(request.sent, since_end) if request.times else math.inf for request in found
    )


def at(values: list[float], share: float) -> float:
    return values[int(share * (len(values) - 1))] if values else math.nan


if __name__ == "__main__":
    main()
