"""Whether anything is missing however many subtasks share a TaskManager and a Python process, while both are
killed again and again.

    python -m tests.benchmarks.slots [--parallelism 1,2,4] [--slots 1,2] [--python-workers 1,2] \\
        [--kills 9] [--rate 50]

Each combination has a cluster and a broker of its own. Scores pass a proxy that holds produce requests.
TaskManagers and Python workers are killed in turn (kill -9), as soon as scores come again after the kill
before. Flink itself waits for up to a minute between two starts of a job that fails so often.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from contextlib import ExitStack
from itertools import product
from math import ceil
from pathlib import Path

from pipeline.config.models_file import load
from pipeline.config.topics import input_topics, output_topics
from pipeline.process.child_process import free_port
from runners.local_kafka import LocalKafka
from runners.programs import LocalFlinkProgram, Program
from tests.benchmarks import processes
from tests.benchmarks.edits import Edits
from tests.benchmarks.held_broker import HeldBroker
from tests.benchmarks.load import Load
from tests.benchmarks.measuring import cells_of, table
from tests.benchmarks.nine_models import write_nine_models
from tests.benchmarks.stage import LiftWing, parser

_BETWEEN_S = 3.0  # of load before the next kill
COLUMNS = [
    "TaskManagers",
    "slots of each",
    "Python workers of each",
    "requests",
    "scored",
    "failed",
    "missing",
    "came again",
    "with another meta.id",
]


def main() -> None:
    options = parser(__doc__, rate=50, latency="0.2")
    options.add_argument("--parallelism", default="1,2,4", help="with commas between (default: 1,2,4)")
    options.add_argument("--slots", default="1,2", help="of a TaskManager (default: 1,2)")
    options.add_argument("--python-workers", default="1,2", help="of a TaskManager (default: 1,2)")
    options.add_argument("--kills", type=int, default=9, help="for each combination (default: 9)")
    options.add_argument(
        "--hold",
        type=float,
        default=0.5,
        help="seconds that a produce request is held at most (default: 0.5)",
    )
    options.add_argument(
        "--patience",
        type=float,
        default=240,
        help="seconds without any new score after which the rest is missing (default: 240)",
    )
    arguments = options.parse_args()
    processes.mark()
    rows = []
    for chosen in product(
        *(
            map(int, text.split(","))
            for text in (arguments.parallelism, arguments.slots, arguments.python_workers)
        )
    ):
        rows.append([f"{chosen[0]}", *killed(arguments, *chosen)])
        print("  ".join(cells_of(rows[-1])), flush=True)
    print(
        table(
            f"{arguments.kills} kills each, produce requests held up to {arguments.hold:g} s",
            ["parallelism", *COLUMNS],
            rows,
        ),
        flush=True,
    )


def killed(arguments: argparse.Namespace, parallelism: int, slots: int, workers: int) -> list[str]:
    task_managers = ceil(parallelism / slots)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        lift_wing = LiftWing(arguments.latency)
        lift_wing.start()
        stack.callback(lift_wing.stop)
        models = write_nine_models(folder / "models.yaml", lift_wing.url)
        configuration = load(models)
        port, held_port, real_port = free_port(), free_port(), free_port()
        listeners = {"HELD": f"127.0.0.1:{real_port}"}
        broker = stack.enter_context(
            LocalKafka(folder / "kafka", listeners, held_settings(port, held_port), port=port)
        )
        inputs = input_topics(configuration, None)
        broker.create_topics(*inputs, *output_topics(configuration, inputs))
        proxy = stack.enter_context(HeldBroker(held_port, f"127.0.0.1:{real_port}", arguments.hold))
        options = ["--task-managers", str(task_managers), "--slots", str(slots)]
        flink = stack.enter_context(LocalFlinkProgram(folder / "cluster", *options))
        load_ = Load(broker.address, configuration, Edits(configuration))
        stack.enter_context(load_.counting())
        where = [
            "--kafka",
            proxy.address,
            "--state",
            str(folder / "state"),
            "--flink",
            flink.address,
            "--workers",
            flink.workers,
        ]
        spread = [f"--parallelism={parallelism}", f"--sdk_worker_parallelism={workers}"]
        with Program(
            "pipeline", "stream", "--models", str(models), "--from", "earliest", *where, *spread
        ) as program:
            program.wait_for("^reading")
            load_.send_until_scored()
            with load_.sending(arguments.rate):
                for number in range(arguments.kills):
                    kill_one("TaskManager" if number % 2 else "Python worker", load_)
            load_.wait_for_all(arguments.patience)
    ledger = load_.ledger
    fate = [
        ledger.requests,
        ledger.scored_of.total(),
        ledger.failed_of.total(),
        ledger.requests - ledger.done,
    ]
    return [*map(str, (task_managers, slots, workers, *fate, ledger.repeats, ledger.repeats_with_another_id))]


def held_settings(port: int, held_port: int) -> str:
    """Clients that enter by the proxy are told to stay there."""
    return (
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port},HELD://127.0.0.1:{held_port}\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,HELD:PLAINTEXT\n"
    )


def kill_one(role: str, load_: Load) -> None:
    """Kills one process of a role after a few seconds of load, and returns when scores come again."""
    time.sleep(_BETWEEN_S)
    if found := processes.of_role(role):
        random.choice(found).kill()
    done = load_.ledger.done
    load_.wait(lambda: load_.ledger.done > done + 50)


if __name__ == "__main__":
    main()
