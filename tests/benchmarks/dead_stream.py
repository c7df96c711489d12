"""100,000 scores of a stream that was dead: how fast they are delivered, what the other models see of it, and
whether a kill and a rescale lose any.

    python -m tests.benchmarks.dead_stream [--scores 100000] [--rate 50] [--seconds 60] [--latency 0.05]

An authorizer denies damaging's topics while its scores pile up, as fast as the other models keep up. Then,
for comparison, --seconds at --rate; then the topics are allowed again. A third of the way on the TaskManager
and its Python worker are killed; two thirds on the command is stopped, and goes on with parallelism 2.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.benchmarks import processes, stream_faults
from tests.benchmarks.meanwhile import meanwhile
from tests.benchmarks.measuring import table
from tests.benchmarks.nine_models import write_nine_models
from tests.benchmarks.overhead import WARM_UP_S
from tests.benchmarks.pending import DEAD, WITHOUT, edits
from tests.benchmarks.stage import Stage, parser, quantiles, stage
from tests.benchmarks.stream_faults import KafkaFaults

COLUMNS = ["seconds", "delivered", "a second", "others/s", "their p99 s", "MB: Python workers, most"]
_AHEAD = 500  # open requests of the other models


@dataclass
class Parts:
    """What was so at the end of each part of a run."""

    set_up: Stage
    rows: list[list[str | float]] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        return self.set_up.load.ledger.open_of([DEAD])

    @property
    def others(self) -> list[str]:
        return [model for model in self.set_up.configuration.models if model != DEAD]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        load, ledger = self.set_up.load, self.set_up.load.ledger
        began, delivered, scored = (
            time.time(),
            ledger.scored_of[DEAD],
            sum(ledger.scored_of[model] for model in self.others),
        )
        memory: list[int] = []
        with meanwhile(lambda: memory.append(processes.rss_mb()["Python worker"]), 1.0):
            yield
        seconds = time.time() - began
        delivered, scored = (
            ledger.scored_of[DEAD] - delivered,
            sum(ledger.scored_of[model] for model in self.others) - scored,
        )
        load.wait(lambda: ledger.open_of(self.others) < _AHEAD)
        p99 = quantiles(
            ledger.overheads(self.set_up.lift_wing.draw, self.others, began, began + seconds - 1)
        )[2]
        self.rows.append(
            [
                name,
                seconds,
                f"{delivered:,}",
                delivered / seconds,
                scored / seconds,
                p99,
                f"{max(memory, default=0)}",
            ]
        )
        print("  ".join(str(cell) for cell in self.rows[-1]), flush=True)


def main() -> None:
    options = parser(__doc__, rate=50, seconds=60, latency="0.05")
    options.add_argument(
        "--scores", type=int, default=100_000, help="that wait for the stream (default: 100,000)"
    )
    options.add_argument(
        "--patience",
        type=float,
        default=120,
        help="seconds without any new score after which the rest is missing (default: 120)",
    )
    arguments = options.parse_args()
    arguments.cluster, arguments.task_managers = True, 2
    with stage(arguments, edits, stream_faults.BROKER_SETTINGS) as set_up:
        parts = _run(set_up, arguments)
    ledger = set_up.load.ledger
    print(
        table(
            f"{arguments.scores:,} scores of a stream that was dead, beside {arguments.rate:.0f} calls/s",
            ["part", *COLUMNS],
            parts.rows,
        ),
        flush=True,
    )
    fate = {
        of: sum(request.times > 1 for request in ledger.all() if (request.model == DEAD) == of)
        for of in (True, False)
    }
    told = (
        f"{ledger.requests} requests, {ledger.requests - ledger.done} missing, "
        f"{ledger.failed_of.total()} failed"
    )
    print(
        f"{told}; came again: {fate[True]} of the stream, {fate[False]} of others; "
        f"{ledger.repeats_with_another_id} with another meta.id",
        flush=True,
    )


def _run(set_up: Stage, arguments: argparse.Namespace) -> Parts:
    load, parts = set_up.load, Parts(set_up)
    models = write_nine_models(set_up.folder / "models.yaml", set_up.lift_wing.url, {WITHOUT})
    address = set_up.cluster[:-1]
    set_up.cluster = [*address, "--parallelism=1"]
    with set_up.streaming(models) as program:
        load.send_for(arguments.rate, WARM_UP_S)
        with _denied(set_up):
            with parts.part("piles up"):
                load.pile_up(parts.others, _AHEAD, lambda: parts.waiting >= arguments.scores)
            with parts.part("dead"):
                load.send_for(arguments.rate, arguments.seconds)
            piled = parts.waiting
        with ExitStack() as load_goes_on:
            load_goes_on.enter_context(load.sending(arguments.rate))
            with parts.part("delivered"):
                load.wait(lambda: parts.waiting < piled * 2 // 3)
            with parts.part("after a kill"):
                for role in ("TaskManager", "Python worker"):
                    processes.of_role(role)[0].kill()
                load.wait(lambda: parts.waiting < piled // 3, arguments.patience)
            program.stop()
            set_up.cluster = [*address, "--parallelism=2"]
            with set_up.stream(models) as successor:
                with parts.part("after a rescale"):
                    successor.wait_for("^reading")
                    load.wait(lambda: parts.waiting < _AHEAD, arguments.patience)
                load_goes_on.close()
                load.wait_for_all(arguments.patience)
    return parts


@contextmanager
def _denied(set_up: Stage) -> Iterator[None]:
    stream = set_up.configuration.models[DEAD].stream
    with ExitStack() as stack:
        for datacenter in set_up.configuration.datacenters:
            stack.enter_context(KafkaFaults(set_up.kafka, f"{datacenter}.{stream}").denied())
        yield


if __name__ == "__main__":
    main()
