"""Flink by its contract: tasks that exchange elements and barriers, checkpoints of keyed state and timers,
and restarts from them.

What is modelled was read in Beam's Flink runner and is held against the real one by
`tests/system/test_flink_contract.py`:

- A task runs one bundle at a time. It closes when it has 50 elements or after 12 ms, and before a checkpoint;
  timers that are due are a part of it.
- State that a bundle writes is seen in it at once. Timers that it sets or clears reach Flink at its end, so a
  timer that is due meanwhile fires first.
- A barrier goes on before the bundle is closed; what the bundle emits then is in the checkpoint, and sent
  with the next bundle or watermark.
- A bundle that fails ends the job's attempt. The next one has new processes, and begins with a checkpoint
  that is complete.
- A DoFn instance belongs to one task; one that had no bundle for a minute is torn down, and another takes
  its place.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from math import inf
from random import Random
from typing import Any, Protocol
from zlib import crc32

from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from tests.simulator.clock import Clock, Thread
from tests.simulator.graph import Binding, Stage, Step, unpickled

BUNDLE_S, BUNDLE_SIZE = 0.012, 50
_WATERMARK_S = 0.4
_KEY_GROUPS = 128
_IDLE_S = 60.0  # after which an instance is torn down; looked for as often

StateId = tuple[str, str, str]  # label of the step, id, key
TimerId = tuple[str, str, str, str]  # label of the step, id, key, tag


class InjectedError(Exception):
    """A fault that the scenario puts into a bundle."""


class Observer(Protocol):
    """Hears what a job does."""

    def shuffled(self, task: Task, key: str, value: Any) -> None: ...
    def processed(self, task: Task, element: Any) -> None: ...
    def snapshotted(self, task: Task, state: TaskState) -> None: ...
    def ended(self, task: Task, step: Step, output: Any) -> None: ...
    def failed(self, task: Task, error: Exception) -> None: ...
    def completed(self, checkpoint: Checkpoint) -> None: ...


class WorkerProcess(Protocol):
    """A Python process: what it gives its DoFns, and how it ends."""

    def own(self, name: str) -> Any:
        """Returns what DoFns that are unpickled here get in place of a value of this type."""

    def kill(self) -> None: ...


@dataclass
class TaskState:
    """What a checkpoint keeps of one task."""

    bags: dict[StateId, tuple[Any, ...]] = field(default_factory=dict)
    timers: dict[TimerId, int] = field(default_factory=dict)  # milliseconds since the epoch
    # number of the stage and value, emitted by the bundle that the barrier closed
    unsent: list[tuple[int, Any]] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)  # of partitions of the input


@dataclass
class Checkpoint:
    number: int
    started_at: float
    tasks: dict[tuple[int, int], TaskState] = field(default_factory=dict)  # by number of stage and subtask
    is_complete: bool = False


class Channel:
    """From one task to another: elements and barriers, in order."""

    def __init__(self, clock: Clock, random: Random, receiver: Task) -> None:
        self._clock, self._random, self._receiver = clock, random, receiver
        self.items: deque[tuple[float, Any]] = deque()
        self._last = 0.0

    def send(self, item: Any) -> None:
        self._last = max(self._last, self._clock.now + self._random.uniform(0.0002, 0.006))
        self.items.append((self._last, item))
        self._clock.after(self._last - self._clock.now, self._receiver.wake)


@dataclass(frozen=True)
class Barrier:
    number: int


@dataclass(eq=False)
class Instance:
    """The DoFns of a stage in one process, for one task."""

    fns: dict[Step, Any]
    used_at: float = 0.0
    in_use: bool = False

    def tear_down(self) -> None:
        for fn in self.fns.values():
            if fn is not None:
                fn.teardown()


class Bundle:
    """What a bundle has written and not committed."""

    def __init__(self, task: Task, instance: Instance) -> None:
        self.task, self.instance = task, instance
        # whether it was cleared, and what was added since
        self.bags: dict[StateId, tuple[bool, list[Any]]] = {}
        self.timers: list[tuple[TimerId, int | None]] = []


@dataclass(frozen=True)
class Bag:
    """A bag of one key, as a DoFn sees it."""

    bundle: Bundle
    state_id: StateId

    def read(self) -> Iterator[Any]:
        cleared, added = self.bundle.bags.get(self.state_id, (False, []))
        if cleared:
            return iter(added)
        self.bundle.task.round_trip()
        return iter((*self.bundle.task.state.bags.get(self.state_id, ()), *added))

    def add(self, value: Any) -> None:
        cleared, added = self.bundle.bags.get(self.state_id, (False, []))
        self.bundle.bags[self.state_id] = cleared, [*added, value]

    def clear(self) -> None:
        self.bundle.bags[self.state_id] = True, []


@dataclass(frozen=True)
class Timer:
    """A timer of one key, as a DoFn sees it."""

    bundle: Bundle
    label: str
    name: str
    key: str

    def set(self, timestamp: Any, dynamic_timer_tag: str = "") -> None:
        self.bundle.timers.append(
            ((self.label, self.name, self.key, dynamic_timer_tag), timestamp.micros // 1000)
        )

    def clear(self, dynamic_timer_tag: str = "") -> None:
        self.bundle.timers.append(((self.label, self.name, self.key, dynamic_timer_tag), None))


class Task:
    """One subtask of a stage, in a thread of its own."""

    def __init__(
        self, attempt: Attempt, stage: Stage, index: int, process: WorkerProcess, state: TaskState
    ) -> None:
        self.attempt, self.stage, self.index, self.process, self.state = attempt, stage, index, process, state
        self.job = attempt.job
        self.inputs: list[Channel] = []
        self.outputs: dict[int, list[Channel]] = {}  # by number of the stage
        self.barriers: deque[int] = deque()  # asked of a task that reads the input
        self.instance: Instance | None = None
        self._blocked: set[int] = set()  # inputs whose barrier has come
        self._in_snapshot = False
        self._due: list[tuple[int, int, TimerId]] = []
        self._numbers = count()
        self.thread: Thread

    def start(self) -> None:
        for timer_id, due in self.state.timers.items():
            self._register(timer_id, due)
        self.thread = Thread(self.job.clock, self._run)

    def __str__(self) -> str:
        return f"{self.stage.number}.{self.index}"

    def wake(self) -> None:
        self.thread.wake()

    def round_trip(self) -> None:
        """A request to Flink: others may run meanwhile."""
        self.thread.sleep(self.job.random.uniform(0.0005, 0.004))

    # What comes in

    def _run(self) -> None:
        try:
            while True:
                if (number := self._aligned()) is not None:
                    self._snapshot(number, None)
                elif self._has_input():
                    self._bundle()
                elif self.state.unsent:
                    self.thread.sleep(self.job.random.uniform(0, _WATERMARK_S))
                    self._send_kept()
                else:
                    self.thread.wait(self._seconds_to_input())
        except Exception as error:  # a GreenletExit is none
            self.tear_down()
            self.job.clock.after(0.0, partial(self.attempt.fail, self, error))

    def tear_down(self) -> None:
        """Discards the instance."""
        if self.instance:
            self.instance.tear_down()
            self.instance = None

    def _aligned(self) -> int | None:
        """The number of the checkpoint whose barrier has come on all inputs."""
        if not self.inputs:
            return self.barriers[0] if self.barriers else None
        for index, channel in enumerate(self.inputs):
            if (
                index not in self._blocked
                and channel.items
                and channel.items[0][0] <= self.job.clock.now
                and isinstance(channel.items[0][1], Barrier)
            ):
                self._blocked.add(index)
        if len(self._blocked) < len(self.inputs):
            return None
        number: int = self.inputs[0].items[0][1].number
        return number

    def _ready(self, now: float) -> list[int]:
        """Inputs that have an element by then. Those of the first stage are partitions."""
        if not self.inputs:
            return [
                partition
                for partition, position in self.state.positions.items()
                if (self.job.log.arrival(partition, position) or inf) <= now
            ]
        return [
            index
            for index, channel in enumerate(self.inputs)
            if index not in self._blocked
            and channel.items
            and channel.items[0][0] <= now
            and not isinstance(channel.items[0][1], Barrier)
        ]

    def _has_input(self) -> bool:
        return self._timer_is_due(self.job.clock.now) or bool(self._ready(self.job.clock.now))

    def _take(self, ready: Sequence[int]) -> Any:
        index = self.job.random.choice(ready)
        if self.inputs:
            return self.inputs[index].items.popleft()[1]
        position = self.state.positions[index]
        self.state.positions[index] += 1
        return self.job.log.read(index, position)

    def _next_timer(self) -> int | None:
        while self._due:
            due, _, timer_id = self._due[0]
            if self.state.timers.get(timer_id) == due:
                return due
            heapq.heappop(self._due)
        return None

    def _timer_is_due(self, now: float) -> bool:
        due = self._next_timer()
        return due is not None and due + 1 <= now * 1000

    def _seconds_to_input(self) -> float | None:
        """How long until a timer or a message of the input is due; elements and barriers wake the task."""
        due = self._next_timer()
        times = [] if due is None else [(due + 1) / 1000]
        times += [
            at
            for partition, position in self.state.positions.items()
            if (at := self.job.log.arrival(partition, position)) is not None
        ]
        return max(0.0, min(times) - self.job.clock.now) + 1e-6 if times else None

    def _register(self, timer_id: TimerId, due: int) -> None:
        heapq.heappush(self._due, (due, next(self._numbers), timer_id))

    # Bundles

    def _bundle(self) -> None:
        self._send_kept()
        bundle = Bundle(self, self._instance())
        self._each(bundle, "start_bundle")
        closes_at, elements = self.job.clock.now + self.job.random.uniform(0, BUNDLE_S), 0
        while elements < BUNDLE_SIZE:
            # Flink takes no more into a bundle that it closes, however long that takes
            by = min(self.job.clock.now, closes_at)
            ready = self._ready(by)
            if self._timer_is_due(by) and not (ready and self.job.random.random() < 0.5):
                self._fire(bundle)
            elif ready:
                self._process(bundle, self._take(ready))
                elements += 1
            elif (number := self._aligned()) is not None:
                self._snapshot(number, bundle)
                return
            elif self.job.clock.now < closes_at:
                self.thread.wait(min(closes_at - self.job.clock.now, self._seconds_to_input() or BUNDLE_S))
            else:
                break
            self.job.maybe_fail()
        self._finish(bundle)

    def _send_kept(self) -> None:
        kept, self.state.unsent = self.state.unsent, []
        for stage, value in kept:
            self._send(stage, value)

    def _instance(self) -> Instance:
        if self.instance is None:
            fns = unpickled(self.job.pickled[self.stage], self.process.own)
            self.instance = Instance(dict(zip(self.stage.steps, fns, strict=True)))
            for fn in fns:
                if fn is not None:
                    fn.setup()
        self.instance.in_use = True
        return self.instance

    def _process(self, bundle: Bundle, element: Any) -> None:
        self.thread.sleep(self.job.random.uniform(0.0001, 0.0008))
        if self.stage.root.is_stateful:
            self.job.observer.processed(self, element)
        self._deliver(bundle, self.stage.root, element)

    def _fire(self, bundle: Bundle) -> None:
        _, _, timer_id = heapq.heappop(self._due)
        del self.state.timers[timer_id]
        label, name, key, tag = timer_id
        self.thread.sleep(self.job.random.uniform(0.0001, 0.0008))
        callback, binding = self.stage.root.timers[name]
        outputs = callback(bundle.instance.fns[self.stage.root], **_bound(bundle, label, binding, key, tag))
        self._route(bundle, self.stage.root, outputs)

    def _deliver(self, bundle: Bundle, step: Step, element: Any) -> None:
        if step.fn is None:
            self._route(bundle, step, [element])
            return
        bound = _bound(bundle, step.label, step.binding, element[0], "") if step.binding else {}
        self._route(
            bundle, step, bundle.instance.fns[step].process(element, *step.arguments, **step.named, **bound)
        )

    def _route(self, bundle: Bundle, step: Step, outputs: Iterable[Any] | None) -> None:
        for output in outputs or ():
            tag = None
            if isinstance(output, TaggedOutput):
                tag, output = output.tag, output.value
            if isinstance(output, WindowedValue):
                output = output.value
            if step.is_stateful:
                self.job.observer.ended(self, step, output)
            for consumer in step.consumers.get(tag, ()):
                if consumer in self.stage.outputs:
                    self._emit(self.stage.outputs[consumer].number, output)
                else:
                    self._deliver(bundle, consumer, output)

    def _emit(self, stage: int, value: Any) -> None:
        self.job.observer.shuffled(self, *value)
        if self._in_snapshot:
            self.state.unsent.append((stage, value))
        else:
            self._send(stage, value)

    def _send(self, stage: int, value: Any) -> None:
        self.outputs[stage][subtask_of(value[0], self.attempt.parallelism)].send(value)

    def _each(self, bundle: Bundle, method: str) -> None:
        for step in self.stage.with_method[method]:
            self._route(bundle, step, getattr(bundle.instance.fns[step], method)())

    def _finish(self, bundle: Bundle) -> None:
        self._each(bundle, "finish_bundle")
        self.job.maybe_fail()
        self.round_trip()
        for state_id, (cleared, added) in bundle.bags.items():
            if values := (*(() if cleared else self.state.bags.get(state_id, ())), *added):
                self.state.bags[state_id] = values
            else:
                self.state.bags.pop(state_id, None)
        for timer_id, due in bundle.timers:
            if due is None:
                self.state.timers.pop(timer_id, None)
            else:
                self.state.timers[timer_id] = due
                self._register(timer_id, due)
        bundle.instance.in_use, bundle.instance.used_at = False, self.job.clock.now

    # Checkpoints

    def _snapshot(self, number: int, bundle: Bundle | None) -> None:
        """The barrier goes on first; then the open bundle is closed."""
        for channels in self.outputs.values():
            for channel in channels:
                channel.send(Barrier(number))
        if bundle:
            self._in_snapshot = True
            self._finish(bundle)
            self._in_snapshot = False
        for index in self._blocked:
            self.inputs[index].items.popleft()
        self._blocked.clear()
        if self.barriers:
            self.barriers.popleft()
        kept = TaskState(
            dict(self.state.bags), dict(self.state.timers), [*self.state.unsent], dict(self.state.positions)
        )
        self.job.observer.snapshotted(self, kept)
        self.attempt.snapshotted(number, self, kept)


def _bound(bundle: Bundle, label: str, binding: Binding, key: str, tag: str) -> dict[str, Any]:
    bound: dict[str, Any] = {}
    for name, what, state_id in binding:
        if what == "state":
            bound[name] = Bag(bundle, (label, state_id, key))
        elif what == "timer":
            bound[name] = Timer(bundle, label, state_id, key)
        else:
            bound[name] = key if what == "key" else tag
    return bound


def subtask_of(key: str, parallelism: int) -> int:
    """Which subtask of a keyed stage has this key."""
    return crc32(key.encode()) % _KEY_GROUPS * parallelism // _KEY_GROUPS


@dataclass(frozen=True)
class Layout:
    """Where subtasks run."""

    parallelism: int = 1
    slots: int = 1  # of a TaskManager
    processes: int = 1  # Python processes of a TaskManager


class InputLog:
    """What the stream reads: partitions of messages, each with the time at which it comes."""

    def __init__(self, partitions: Sequence[Sequence[tuple[float, Any]]]) -> None:
        self.partitions = partitions

    def arrival(self, partition: int, position: int) -> float | None:
        messages = self.partitions[partition]
        return messages[position][0] if position < len(messages) else None

    def read(self, partition: int, position: int) -> Any:
        return self.partitions[partition][position][1]


class Job:
    """A job from its start to its end, over all its attempts."""

    def __init__(
        self, clock: Clock, random: Random, stages: Sequence[Stage], log: InputLog, observer: Observer
    ) -> None:
        self.clock, self.random, self.log, self.observer = clock, random, log, observer
        self.take(stages)
        self.layout = Layout()
        self.checkpoint_s = 5.0
        self.declined = 0.0  # share of checkpoints that never complete
        self.failing = 0.0  # share of elements at which a bundle fails
        self.new_process: Callable[[str], WorkerProcess]
        self.checkpoints: list[Checkpoint] = []
        self.attempt: Attempt
        self.attempts = 0

    @property
    def current(self) -> Task:
        """Whose thread is running."""
        return next(task for task in self.attempt.tasks if task.thread.is_current)

    def take(self, stages: Sequence[Stage]) -> None:
        """Runs another build of the graph from the next attempt on."""
        self.stages = stages
        self.pickled = {stage: stage.pickled() for stage in stages}

    def start(self, checkpoint: Checkpoint | None = None) -> None:
        self.attempts += 1
        self.attempt = Attempt(self, checkpoint)

    def restart(self, checkpoint: Checkpoint | None = None) -> None:
        """Goes on at the newest complete checkpoint, or at this one."""
        self.start(checkpoint or (self.checkpoints[-1] if self.checkpoints else None))

    def maybe_fail(self) -> None:
        if self.failing and self.random.random() < self.failing:
            raise InjectedError("a fault in the bundle")


class Attempt:
    """One attempt of a job: its tasks and processes, and the checkpoints that they take."""

    def __init__(self, job: Job, restored: Checkpoint | None) -> None:
        self.job, self.parallelism = job, job.layout.parallelism
        self.is_running = True
        self.next_checkpoint: Checkpoint | None = None
        self.stopped: Callable[[], None] | None = None  # what to do once a savepoint is complete
        self.processes: dict[tuple[int, int], WorkerProcess] = {}
        self.tasks = [
            self._task(stage, index, restored) for stage in job.stages for index in range(self.parallelism)
        ]
        self._connect()
        for task in self.tasks:
            task.start()
        job.clock.after(job.checkpoint_s, self._trigger)
        job.clock.after(_IDLE_S, self._sweep)

    def _task(self, stage: Stage, index: int, restored: Checkpoint | None) -> Task:
        layout = self.job.layout
        place = index // layout.slots, self.job.random.randrange(layout.processes)
        if place not in self.processes:
            self.processes[place] = self.job.new_process(f"{self.job.attempts}.{place[0]}.{place[1]}")
        return Task(self, stage, index, self.processes[place], self._restored(stage, index, restored))

    def _restored(self, stage: Stage, index: int, checkpoint: Checkpoint | None) -> TaskState:
        state = TaskState()
        kept = (
            [each for (number, _), each in checkpoint.tasks.items() if number == stage.number]
            if checkpoint
            else []
        )
        for each in kept:
            state.bags.update(
                (state_id, values)
                for state_id, values in each.bags.items()
                if subtask_of(state_id[2], self.parallelism) == index
            )
            state.timers.update(
                (timer_id, due)
                for timer_id, due in each.timers.items()
                if subtask_of(timer_id[2], self.parallelism) == index
            )
        state.unsent += [item for each in kept for item in each.unsent][index :: self.parallelism]
        if stage.number == 0:
            positions = {
                partition: position for each in kept for partition, position in each.positions.items()
            }
            state.positions.update(
                (partition, positions.get(partition, 0))
                for partition in range(index, len(self.job.log.partitions), self.parallelism)
            )
        return state

    def _connect(self) -> None:
        by_stage = {stage: [task for task in self.tasks if task.stage is stage] for stage in self.job.stages}
        for task in self.tasks:
            for stage in task.stage.outputs.values():
                channels = [
                    Channel(self.job.clock, self.job.random, receiver) for receiver in by_stage[stage]
                ]
                task.outputs[stage.number] = channels
                for receiver, channel in zip(by_stage[stage], channels, strict=True):
                    receiver.inputs.append(channel)

    # Checkpoints

    def savepoint(self, then: Callable[[], None]) -> None:
        """Stops the attempt with a savepoint, and does `then`. Nothing happens when it fails before."""
        self.stopped = then
        self._trigger()

    def _trigger(self) -> None:
        if not self.is_running:
            return
        if self.next_checkpoint and self.job.clock.now - self.next_checkpoint.started_at < 120:
            self.job.clock.after(1.0, self._trigger)
            return
        number = len(self.job.checkpoints) * 1000 + self.job.random.randrange(1000)
        self.next_checkpoint = Checkpoint(number, self.job.clock.now)
        for task in self.tasks:
            if not task.inputs:
                self.job.clock.after(self.job.random.uniform(0, 0.05), partial(self._inject, task, number))

    def _inject(self, task: Task, number: int) -> None:
        task.barriers.append(number)
        task.wake()

    def snapshotted(self, number: int, task: Task, state: TaskState) -> None:
        self.job.clock.after(
            self.job.random.uniform(0.02, 0.6), partial(self._acknowledged, number, task, state)
        )

    def _acknowledged(self, number: int, task: Task, state: TaskState) -> None:
        checkpoint = self.next_checkpoint
        if not self.is_running or checkpoint is None or checkpoint.number != number:
            return
        checkpoint.tasks[task.stage.number, task.index] = state
        if len(checkpoint.tasks) < len(self.tasks):
            return
        self.next_checkpoint = None
        self.job.clock.after(self.job.checkpoint_s, self._trigger)
        if self.job.random.random() < self.job.declined:
            return
        checkpoint.is_complete = True
        self.job.checkpoints.append(checkpoint)
        self.job.observer.completed(checkpoint)
        if self.stopped:
            self._end(self.stopped)

    # Ends

    def fail(self, task: Task, error: Exception) -> None:
        """A bundle failed: the other tasks are cancelled, and run on for a moment."""
        self.job.observer.failed(task, error)
        if self.is_running:
            self._end(self.job.restart)

    def kill(self, process: WorkerProcess) -> None:
        """A process dies where it is."""
        if self.is_running:
            for task in self.tasks:
                if task.process is process:
                    self.cancel(task)
            process.kill()
            self._end(self.job.restart)

    def _end(self, then: Callable[[], None]) -> None:
        self.is_running = False
        for task in self.tasks:
            self.job.clock.after(self.job.random.uniform(0, 0.4), partial(self.cancel, task))
        self.job.clock.after(0.5, self._ended)
        self.job.clock.after(0.5 + self.job.random.uniform(1, 6), then)

    def _ended(self) -> None:
        for process in self.processes.values():
            process.kill()

    def cancel(self, task: Task) -> None:
        task.thread.kill()
        task.tear_down()

    def _sweep(self) -> None:
        """Tears down instances that are idle."""
        for task in self.tasks:
            if (
                task.instance
                and not task.instance.in_use
                and self.job.clock.now - task.instance.used_at > _IDLE_S
            ):
                task.tear_down()
        if self.is_running:
            self.job.clock.after(_IDLE_S, self._sweep)
