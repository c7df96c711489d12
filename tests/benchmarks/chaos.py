"""Blows to every process while events come: what is missing at the end, what came twice, and whether repeats
have the same meta.id.

    python -m tests.benchmarks.chaos [--events 100000] [--rate 400] \\
        [--blows TaskManager,worker,JobManager,broker,frozen-broker,lift-wing]

Blows come one after the other, evenly over the events. TaskManager, worker, JobManager, broker: kill -9 (the
broker is then started again). frozen-broker: SIGSTOP for 20 s. lift-wing: killed, and down for 60 s. A Flink
embedded in its job server is JobManager and TaskManager in one: then the job server gets the blow. The
command is started again whenever it ends.
"""

from __future__ import annotations

import argparse
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tests.benchmarks.kept_up import KeptUp
from tests.benchmarks.ledger import Ledger
from tests.benchmarks.measuring import table
from tests.benchmarks.processes import of_role
from tests.benchmarks.stage import Stage, parser, stage


@dataclass(frozen=True)
class Blow:
    """When it fell, and how many scores had come twice by then."""

    name: str
    event: int
    at: float
    repeats: int


def main() -> None:
    options = parser(__doc__, rate=400)
    options.add_argument("--events", type=int, default=100_000)
    options.add_argument("--blows", default=",".join(BLOWS), help="with commas between")
    options.add_argument(
        "--patience",
        type=float,
        default=180,
        help="seconds without any new score after which the rest is missing (default: 180)",
    )
    arguments = options.parse_args()
    with (
        stage(arguments) as set_up,
        KeptUp(lambda: set_up.stream(set_up.folder / "nine_models.yaml")) as command,
    ):
        set_up.load.send_until_scored()
        blows = _run(set_up, arguments)
        set_up.load.wait_for_all(arguments.patience)
        codes = ", ".join(map(str, command.codes)) or "never"
    ledger = set_up.load.ledger
    fates = [
        ("events", ledger.events),
        ("selected pairs", ledger.requests),
        ("scored", ledger.scored_of.total()),
        ("failed", ledger.failed_of.total()),
    ]
    fates += [("missing", ledger.requests - ledger.done), ("scores that came again", ledger.repeats)]
    fates += [
        ("with another meta.id", ledger.repeats_with_another_id),
        ("scores nobody asked for", ledger.foreign),
    ]
    print(table("blows", ["", "at event", "longest pause s", "came again"], _rows(blows, ledger)), flush=True)
    title = (
        f"after {len(blows)} blows at {arguments.rate:.0f} calls/s of {arguments.latency}; the command "
        f"ended by itself: {codes}"
    )
    print(table(title, ["", "count"], [[name, f"{count:,}"] for name, count in fates]), flush=True)


def _run(set_up: Stage, arguments: argparse.Namespace) -> list[Blow]:
    """Sends all events, with the blows between; gives when they fell."""
    names = arguments.blows.split(",")
    ledger, blows = set_up.load.ledger, []
    with set_up.load.sending(arguments.rate):
        for number, name in enumerate(names, 1):
            _wait_for_event(ledger, arguments.events * number // (len(names) + 1))
            blows.append(Blow(name, ledger.events, time.time(), ledger.repeats))
            print(f"event {ledger.events}: {name}", flush=True)
            BLOWS[name](set_up)
        _wait_for_event(ledger, arguments.events)
    return blows


def _wait_for_event(ledger: Ledger, event: int) -> None:
    while ledger.events < event:
        time.sleep(0.05)


def _rows(blows: list[Blow], ledger: Ledger) -> list[list[str | float]]:
    """For each blow the longest time without any score that began before the next one, and what came again
    until then."""
    came = sorted(request.scored for request in ledger.all() if request.times)
    rows: list[list[str | float]] = []
    for blow, following in pairwise([*blows, Blow("end", ledger.events, time.time(), ledger.repeats)]):
        pauses = (
            later - max(at, blow.at)
            for at, later in pairwise([*came, math.inf])
            if later > blow.at and at < min(following.at, came[-1])
        )
        rows.append(
            [blow.name, f"{blow.event}", max(pauses, default=math.inf), f"{following.repeats - blow.repeats}"]
        )
    return rows


def _kill(*roles: str) -> None:
    """The processes of the first role that has any."""
    processes = next(filter(None, map(of_role, roles)), [])
    for process in processes:
        process.kill()
    if not processes:
        print(f"no process is a {' or a '.join(roles)} just now", flush=True)


def _kill_broker(set_up: Stage) -> None:
    _kill("broker")
    set_up.kafka.start()
    set_up.kafka.wait()


def _freeze_broker(set_up: Stage) -> None:
    for number, seconds in ((signal.SIGSTOP, 20), (signal.SIGCONT, 0)):
        for process in of_role("broker"):
            process.send_signal(number)
        time.sleep(seconds)


def _take_lift_wing_down(set_up: Stage) -> None:
    set_up.lift_wing.kill()
    time.sleep(60)
    set_up.lift_wing.start()


BLOWS: dict[str, Callable[[Stage], None]] = {
    "TaskManager": lambda set_up: _kill("TaskManager", "job server"),
    "worker": lambda set_up: _kill("Python worker"),
    "JobManager": lambda set_up: _kill("JobManager", "job server"),
    "broker": _kill_broker,
    "frozen-broker": _freeze_broker,
    "lift-wing": _take_lift_wing_down,
}


if __name__ == "__main__":
    main()
