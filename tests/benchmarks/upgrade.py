"""Whether what waits in a snapshot goes on under a build with another graph: a source more, and a step less.

    python -m tests.benchmarks.upgrade [--requests 2000] [--parallelism 1,2] [--before DIR] [--limit 30]

damaging hangs, goodfaith is parked, and the topics of articletopic take nothing, until so many requests wait
together; each event is scored once, and combined. Then the command is stopped with a savepoint, or killed
(kill -9) after a checkpoint, and a build with another graph goes on from what is there, with all models and
topics well again. --before: a checkout of the version that writes the snapshot (default: this one).
"""

from __future__ import annotations

import argparse
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from runners.programs import Program
from tests.benchmarks.inputs import ROOT
from tests.benchmarks.measuring import table
from tests.benchmarks.nine_models import write_nine_models
from tests.benchmarks.stage import Stage, parser, restarts_of, stage
from tests.support.copied_code import copy_code
from transforms.connectors.offset_ranges import messages, offset_ranges
from transforms.events.combined_events import STREAM

_CALLED, _PARKED, _REFUSED = "damaging", "goodfaith", "articletopic"
ANOTHER_GRAPH = {
    '    selected = read.events | "SelectModels"': """\
    from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource
    from transforms.elements import Event
    other = p | "AnotherSource" >> FlinkStreamingImpulseSource() | "Nothing" >> beam.Filter(lambda _: False)
    other = other | "NoEvent" >> beam.Map(lambda _: Event({}, "eqiad", "", 0)).with_output_types(Event)
    selected = (read.events, other) | "BothSources" >> beam.Flatten() | "SelectModels\"""",
    '        "Read": read.failures,\n': "",
}
_COLUMNS = ["snapshot", "requests", "waiting in it", "scored", "failed", "missing", "came again"]
_MORE = ["combined events", "missing", "restarts", "seconds to the last score"]


def main() -> None:
    options = parser(__doc__, rate=200, latency="0.05")
    options.add_argument(
        "--requests", type=int, default=2_000, help="waiting in the snapshot (default: 2,000)"
    )
    options.add_argument("--parallelism", default="1,2", help="with commas between (default: 1,2)")
    options.add_argument(
        "--before",
        type=Path,
        default=ROOT,
        metavar="DIR",
        help="the checkout that writes the snapshot (default: this one)",
    )
    options.add_argument(
        "--limit", type=float, default=30, help="seconds that a combined event waits (default: 30)"
    )
    options.add_argument(
        "--patience",
        type=float,
        default=120,
        help="seconds without any new score after which the rest is missing (default: 120)",
    )
    arguments = options.parse_args()
    rows = []
    for parallelism in map(int, arguments.parallelism.split(",")):
        for kind in ("savepoint", "checkpoint"):
            with stage(arguments) as set_up:
                rows.append([f"{parallelism}", kind, *_upgraded(set_up, arguments, parallelism, kind)])
            print("  ".join(rows[-1]), flush=True)
    print(
        table("another graph on the snapshot of this one", ["parallelism", *_COLUMNS, *_MORE], rows),
        flush=True,
    )


def _upgraded(set_up: Stage, arguments: argparse.Namespace, parallelism: int, kind: str) -> list[str]:
    load, ledger = set_up.load, set_up.load.ledger
    before = _parking(write_nine_models(set_up.folder / "before.yaml", set_up.lift_wing.url))
    after = write_nine_models(set_up.folder / "after.yaml", set_up.lift_wing.url)
    refused = [
        f"{datacenter}.{set_up.configuration.models[_REFUSED].stream}"
        for datacenter in set_up.configuration.datacenters
    ]
    combined = [f"{datacenter}.{STREAM}" for datacenter in set_up.configuration.datacenters]
    set_up.kafka.create_topics(*combined)
    options = [f"--parallelism={parallelism}", "--each-event-once", "--combined", f"{arguments.limit:g}"]
    with _streaming(set_up, before, arguments.before, *options) as program:
        load.send_until_scored()
        for topic in refused:
            set_up.kafka.configure_topic(topic, "cleanup.policy", "compact")
        set_up.lift_wing.control(mode="hang", model=_CALLED)
        waiting = [_CALLED, _PARKED, _REFUSED]
        load.send(arguments.rate, lambda: ledger.open_of(waiting) >= arguments.requests)
        load.wait(lambda: ledger.done + ledger.open_of(waiting) >= ledger.requests)
        in_it = ledger.open_of(waiting)
        _wait_for_checkpoint(set_up.folder / "state")
        program.stop(signal.SIGTERM if kind == "savepoint" else signal.SIGKILL)
    for topic in refused:
        set_up.kafka.configure_topic(topic, "cleanup.policy", "delete")
    set_up.lift_wing.clear()
    began = time.time()
    with _streaming(set_up, after, _with_another_graph(set_up.folder / "another"), *options) as program:
        for event in range(min(100, ledger.events)):
            load.send_again(event)
        load.wait_for_all(arguments.patience)
        last = time.time()
        events = ledger.events
        load.wait(lambda: len(_combined(set_up, combined)) >= events, arguments.patience)
        restarts = restarts_of(program.wait_for(r"^reading .*; Flink at (\S+?)[,;\s]")[1])
    found = _combined(set_up, combined)
    fate = [
        in_it,
        ledger.scored_of.total(),
        ledger.failed_of.total(),
        ledger.requests - ledger.done,
        ledger.repeats,
    ]
    return [
        f"{ledger.requests}",
        *map(str, fate),
        f"{len(found)}",
        f"{events - len(found)}",
        f"{restarts}",
        f"{last - began:.1f}",
    ]


def _parking(file: Path) -> Path:
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    told["models"][_PARKED]["concurrency"] = 0
    file.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    return file


def _with_another_graph(folder: Path) -> Path:
    """A copy of this checkout whose graph is another one."""
    copy_code(folder, "pipeline/graph.py", ANOTHER_GRAPH)
    (folder / "runners" / "flink" / "target").symlink_to(ROOT / "runners" / "flink" / "target")
    return folder


@contextmanager
def _streaming(set_up: Stage, models: Path, root: Path, *options: str) -> Iterator[Program]:
    where = ["--kafka", set_up.kafka.address, "--state", str(set_up.folder / "state"), "--from", "earliest"]
    with Program("pipeline", "stream", "--models", str(models), *where, *options, root=root) as program:
        program.wait_for("^reading")
        yield program


def _wait_for_checkpoint(state: Path) -> None:
    """Returns when two checkpoints are complete that began after now: what came before is in the last."""
    for _ in range(2):
        began = time.time()
        while not any(file.stat().st_mtime > began for file in state.glob("*/checkpoints/*/chk-*/_metadata")):
            time.sleep(0.1)


def _combined(set_up: Stage, topics: list[str]) -> Counter[str]:
    """How often each combined event is there, by its `meta.id`."""
    settings = {"bootstrap.servers": set_up.kafka.address}
    return Counter(
        re.findall(rb'"id":"([^"]+)"', message.value() or b"")[0].decode()
        for message in messages(settings, offset_ranges(settings, topics))
    )


if __name__ == "__main__":
    main()
