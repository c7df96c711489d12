"""A small stateful DoFn that does as each element says and logs what it sees, to hold the model of Flink
against the real one."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import apache_beam as beam
from apache_beam import coders
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

Line = Mapping[str, Any]  # what the probe logs: process, instance, what, key, tag, state, at
Element = tuple[str, str]  # key, and orders as JSON


class World(Protocol):
    """Where the probe runs: the machine, or the model."""

    def time(self) -> float:
        """Returns seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""

    def process(self) -> str:
        """Returns the id of the worker process."""

    def log(self, line: Line) -> None:
        """Keeps a line, whatever becomes of the bundle."""

    def is_first(self, name: str) -> bool:
        """Returns whether nobody has asked with this name before, in any process."""


@dataclass(frozen=True)
class Machine:
    """The real world; lines go to a file in `folder`."""

    folder: Path

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        threading.Event().wait(seconds)

    def process(self) -> str:
        return str(os.getpid())

    def log(self, line: Line) -> None:
        with (self.folder / "log").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def read(self) -> list[Line]:
        """Returns what was logged so far."""
        file = self.folder / "log"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def is_first(self, name: str) -> bool:
        try:
            (self.folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class ScriptFn(beam.DoFn):
    """Emits what is to happen at each tick."""

    def __init__(self, script: Mapping[int, Sequence[Element]]) -> None:
        self._script = script

    def process(self, tick: int) -> Iterator[Element]:
        yield from self._script.get(tick, ())


class TogetherFn(beam.DoFn):
    """Emits at the end of a bundle what came in it, as KeyByBundle does."""

    def start_bundle(self) -> None:
        self._together: list[Element] = []

    def process(self, element: Element) -> None:
        self._together.append(element)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for element in self._together:
            yield WindowedValue(element, MIN_TIMESTAMP, [GlobalWindow()])


class ProbeFn(beam.DoFn):
    """Does what elements say: `["add", text]`, `["clear"]`, `["set", tag, seconds]`, `["unset", tag]`,
    `["sleep", seconds]`, `["fail", name]` once."""

    BAG = BagStateSpec("bag", coders.StrUtf8Coder())
    TIMER = TimerSpec("timer", TimeDomain.REAL_TIME)

    def __init__(self, world: World) -> None:
        self._world = world

    def setup(self) -> None:
        self._instance = uuid4().hex[:8]

    def start_bundle(self) -> None:
        self._log("start")

    def finish_bundle(self) -> None:
        self._log("finish")

    def process(
        self, element: Element, bag: Any = beam.DoFn.StateParam(BAG), timer: Any = beam.DoFn.TimerParam(TIMER)
    ) -> None:
        key, orders = element
        self._log("process", key=key, state=sorted(bag.read()))
        for order, *values in json.loads(orders):
            getattr(self, f"_{order}")(bag, timer, *values)

    @on_timer(TIMER)
    def fire(
        self,
        key: str = beam.DoFn.KeyParam,
        tag: str = beam.DoFn.DynamicTimerTagParam,
        bag: Any = beam.DoFn.StateParam(BAG),
    ) -> None:
        self._log("fire", key=key, tag=tag, state=sorted(bag.read()))

    def _add(self, bag: Any, timer: Any, text: str) -> None:
        bag.add(text)

    def _clear(self, bag: Any, timer: Any) -> None:
        bag.clear()

    def _set(self, bag: Any, timer: Any, tag: str, seconds: float) -> None:
        timer.set(Timestamp.of(self._world.time() + seconds), dynamic_timer_tag=tag)

    def _unset(self, bag: Any, timer: Any, tag: str) -> None:
        timer.clear(dynamic_timer_tag=tag)

    def _sleep(self, bag: Any, timer: Any, seconds: float) -> None:
        self._world.sleep(seconds)

    def _fail(self, bag: Any, timer: Any, name: str) -> None:
        if self._world.is_first(name):
            raise RuntimeError("the probe was told to fail")

    def _log(self, what: str, **seen: Any) -> None:
        self._world.log(
            {
                "at": self._world.time(),
                "process": self._world.process(),
                "instance": self._instance,
                "what": what,
                **seen,
            }
        )


def probe(ticks: beam.PCollection[int], script: Mapping[int, Sequence[Element]], world: World) -> None:
    """Two stages, as a stream has: what emits at the end of a bundle, and behind a shuffle what has state."""
    elements = ticks | "Script" >> beam.ParDo(ScriptFn(script)).with_output_types(Element)
    together = elements | "Together" >> beam.ParDo(TogetherFn()).with_output_types(Element)
    _ = together | "Probe" >> beam.ParDo(ProbeFn(world))
