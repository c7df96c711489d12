"""The model of Flink that the simulation runs on does what Flink does: the same small DoFn in both, and the
same facts are seen."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import apache_beam as beam
import pytest
from apache_beam import coders
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.userstate import BagStateSpec

from pipeline.flink.deployments import EmbeddedFlink
from pipeline.flink.snapshots import Snapshots
from pipeline.flink.submission import JobSpec
from pipeline.process.child_process import free_port
from tests.simulator.clock import EPOCH, Clock, Thread
from tests.simulator.flink import InputLog, Job, Layout
from tests.simulator.graph import stages_of
from tests.simulator.probe import Element, Line, Machine, probe

TICK_S, SUBTASKS = 0.05, 2
PATIENCE_S = 120
COUNTED = [f"counted {number}" for number in range(4)]


def script() -> Mapping[int, Sequence[Element]]:
    """What happens at which tick. Gaps are wide, as a machine may be slow."""
    timeline: dict[int, list[Element]] = defaultdict(list)

    def at(seconds: float, key: str, *orders: Sequence[Any]) -> None:
        timeline[round(seconds / TICK_S)].append((key, json.dumps(orders)))

    at(
        0,
        "tags",
        ["set", "x", 2],
        ["set", "y", 2.5],
        ["set", "x", 4],
        ["set", "z", 2],
        ["unset", "z"],
        ["set", "", 3],
    )
    at(0, "cleared late", ["set", "z", 4])
    at(1, "cleared late", ["unset", "z"], ["sleep", 4])  # it is due while the bundle that clears it is open
    at(6, "due", ["set", "at restore", 4])
    at(6, "fails", ["add", "kept"])
    at(8, "fails", ["add", "lost"], ["fail", "first"], ["add", "again"])
    for number in range(200):
        at(number * TICK_S, COUNTED[number % 4], ["add", f"{number:03}"])
    for key in (*COUNTED, "fails"):
        at(11, key, ["set", "end", 2])
    return timeline


def is_over(log: Sequence[Line]) -> bool:
    return {key for key, tags in _fired(log).items() if {"end", "at restore"} & set(tags)} >= {
        *COUNTED,
        "fails",
        "due",
    }


def facts(log: Sequence[Line]) -> dict[str, Any]:
    """What the log of either world shows."""
    of_key: dict[str, list[Line]] = defaultdict(list)
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in log:
        if "key" in line:
            of_key[line["key"]].append(line)
            owners[line["process"], line["key"]].add(line["instance"])
    processes = list(dict.fromkeys(line["process"] for line in log if "process" in line))
    tags = [
        [line["tag"] for line in of_key["tags"] if line["what"] == "fire" and line["process"] == process]
        for process in processes
    ]
    last = {key: lines[-1]["state"] for key, lines in of_key.items()}
    return {
        "a bundle that fails writes no state, and its elements come again": [
            line["state"] for line in of_key["fails"] if "lost" not in line["state"]
        ][-1],
        "then they are written once": last["fails"],
        "each attempt has a process of its own": len(processes),
        "a key belongs to one instance of a process": {len(instances) for instances in owners.values()},
        "two subtasks in one process have an instance each": len(
            {line["instance"] for line in log if line.get("process") == processes[0]}
        ),
        "no element is lost or repeated in the state": sorted(text for key in COUNTED for text in last[key])
        == [f"{number:03}" for number in range(200)],
        "tags are timers of their own, set again is moved, set and cleared never fires": {
            tag for each in tags for tag in each
        },
        "they fire in the order in which they are due, once": all(
            each == [tag for tag in ("y", "", "x") if tag in each] for each in tags
        ),
        "a timer that is cleared in a bundle that is closing does not fire": "z"
        in _fired(of_key["cleared late"])["cleared late"],
        "a timer outlives its process": [line["process"] for line in of_key["due"] if line["what"] == "fire"]
        == [processes[-1]],
        "no checkpoint is taken within a bundle": _checkpoints_within(log, of_key["cleared late"][1]),
    }


EXPECTED = {
    "a bundle that fails writes no state, and its elements come again": ["kept"],
    "then they are written once": ["again", "kept", "lost"],
    "each attempt has a process of its own": 2,
    "a key belongs to one instance of a process": {1},
    "two subtasks in one process have an instance each": 2,
    "no element is lost or repeated in the state": True,
    "tags are timers of their own, set again is moved, set and cleared never fires": {"y", "", "x"},
    "they fire in the order in which they are due, once": True,
    "a timer that is cleared in a bundle that is closing does not fire": False,
    "a timer outlives its process": True,
    "no checkpoint is taken within a bundle": 0,
}


def _fired(log: Sequence[Line]) -> dict[str, list[str]]:
    tags: dict[str, list[str]] = defaultdict(list)
    for line in log:
        if line["what"] == "fire":
            tags[line["key"]].append(line["tag"])
    return tags


def _checkpoints_within(log: Sequence[Line], slept: Line) -> int:
    """How many were complete while the bundle was open; one whose barrier came before it may be complete at
    its begin."""
    ends = next(
        line["at"]
        for line in log
        if line["what"] == "finish" and line["instance"] == slept["instance"] and line["at"] > slept["at"]
    )
    assert ends - slept["at"] >= 4
    return sum(slept["at"] + 2 < line["at"] < ends for line in log if line["what"] == "checkpoint")


class _CountFn(beam.DoFn):
    """Numbers the beats of all subtasks; its state goes back with a restore, so that what was lost comes
    again."""

    NEXT = BagStateSpec("next", coders.VarIntCoder())

    def process(self, _: tuple[str, bytes], following: Any = beam.DoFn.StateParam(NEXT)) -> Iterator[int]:
        number = max(following.read(), default=0)
        following.clear()
        following.add(number + 1)
        yield number


def on_flink(folder: Path) -> list[Line]:
    """The log of the real one, embedded, with two slots."""
    state, world = folder / "state", Machine(folder)
    state.mkdir()

    def build(options: PipelineOptions) -> beam.Pipeline:
        p = beam.Pipeline(options=options)
        beats = p | FlinkStreamingImpulseSource().set_interval_ms(
            round(SUBTASKS * TICK_S * 1000)
        ).set_message_count(0)
        keyed = beats | "Key" >> beam.Map(lambda _: ("ticks", b"")).with_output_types(tuple[str, bytes])
        ticks = keyed | "Count" >> beam.ParDo(_CountFn()).with_output_types(int)
        probe(ticks, script(), world)
        return p

    seen: set[str] = set()
    spec = JobSpec("probe", build, ["--checkpointing_interval=500", f"--parallelism={SUBTASKS}"])
    with EmbeddedFlink(state, free_port(), None, Snapshots(state)).running(spec):
        deadline = time.monotonic() + PATIENCE_S
        while not is_over(log := world.read()):
            assert time.monotonic() < deadline, log[-20:]
            for checkpoint in {
                each.parent.name for each in state.glob("checkpoints/*/chk-*/_metadata")
            } - seen:
                seen.add(checkpoint)
                world.log({"at": time.time(), "what": "checkpoint"})
            time.sleep(0.02)
    return log


@dataclass
class Modelled:
    """The world of the probe in the model: of all processes, or as one of them has it."""

    clock: Clock
    current: Callable[[], Thread]
    name: str = ""
    lines: list[Line] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def time(self) -> float:
        return self.clock.now

    def sleep(self, seconds: float) -> None:
        self.current().sleep(seconds)

    def process(self) -> str:
        return self.name

    def log(self, line: Line) -> None:
        self.lines.append(line)

    def is_first(self, name: str) -> bool:
        is_new = name not in self.asked
        self.asked.add(name)
        return is_new

    # As a process of the model

    def own(self, _name: str) -> Modelled:
        return self

    def kill(self) -> None: ...

    # As what hears of a job

    def shuffled(self, *_: object) -> None: ...

    def processed(self, *_: object) -> None: ...

    def snapshotted(self, *_: object) -> None: ...

    def ended(self, *_: object) -> None: ...

    def failed(self, *_: object) -> None: ...

    def completed(self, _checkpoint: object) -> None:
        self.log({"at": self.clock.now, "what": "checkpoint"})


def in_model(seed: int) -> list[Line]:
    """The log of the model."""
    clock = Clock()
    world = Modelled(clock, lambda: job.current.thread)
    p = beam.Pipeline()
    probe(p | beam.Impulse() | beam.Map(lambda tick: tick), script(), world)
    ticks = [[(EPOCH + 1 + number * TICK_S, number) for number in range(split, 300, 2)] for split in range(2)]
    job = Job(clock, Random(seed), stages_of(p), InputLog(ticks), world)
    job.layout, job.checkpoint_s = Layout(2, 2, 1), 0.5
    job.new_process = lambda name: replace(world, name=name)
    job.start()
    clock.run(EPOCH + 60, lambda: is_over(world.lines))
    return world.lines


@pytest.mark.parametrize("seed", range(5))
def test_the_model_of_flink(seed: int) -> None:
    assert facts(in_model(seed)) == EXPECTED


@pytest.mark.flink
def test_flink(tmp_path: Path) -> None:
    assert facts(on_flink(tmp_path)) == EXPECTED
