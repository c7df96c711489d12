"""One run of the simulation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count
from random import Random
from traceback import extract_tb
from typing import Any

import apache_beam as beam

from pipeline.graph import score_revisions
from tests.simulator import checks
from tests.simulator.clock import EPOCH, Clock
from tests.simulator.flink import Checkpoint, InjectedError, InputLog, Job, Layout, Task, TaskState
from tests.simulator.graph import Stage, Step, stages_of
from tests.simulator.kafka import Broker, Producer
from tests.simulator.ledger import Ledger, Name, Request, names_in
from tests.simulator.lift_wing import Connection, LiftWing
from tests.simulator.scenario import Deployment, Scenario
from transforms.async_io.stateful_async import StatefulAsync
from transforms.connectors.kafka_sink import WriteToKafka
from transforms.delivery.retry_deliveries import RetryDeliveries
from transforms.elements import Failure, ScoreResponse, SourceRecord
from transforms.worker.environment import Environment
from transforms.worker.shared import SHARED

PATIENCE_S = 900.0  # after the last trouble, until everything has ended
TRACED = 60
LOOK_S = 1.7
TOLD = 5  # violations of a run that are printed


class ReadFn(beam.DoFn):
    """Where messages of the model's input come in."""

    def process(self, message: Any) -> Iterator[SourceRecord]:
        yield SourceRecord(message, "eqiad")


class Source(beam.PTransform):
    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[SourceRecord]:
        return pbegin | beam.Impulse() | beam.ParDo(ReadFn())


@lru_cache
def stages(deployment: Deployment) -> list[Stage]:
    """Of the graph as it runs on Flink."""
    p, environment, configuration = beam.Pipeline(), Environment(), deployment.configuration()
    sink = WriteToKafka(
        "kafka:9092",
        configuration.failure_stream,
        waits_in_state=True,
        new_producer=NewProducer(),
        environment=environment,
    )
    waiting = StatefulAsync(deployment.each_event_once, environment)
    written = score_revisions(p, configuration, Source(), sink, waiting)
    _ = written | "RetryDeliveries" >> RetryDeliveries(sink.writing)
    return stages_of(p)


@dataclass(frozen=True)
class NewProducer:
    """What a worker process makes its producers with; a graph that is not in one yet has none."""

    process: Process | None = None

    def __call__(self, _settings: Any, logger: Any = None) -> Producer:
        assert self.process
        return self.process.new_producer()


class Process:
    """A Python worker process."""

    def __init__(self, run: Run, name: str) -> None:
        self._run, self.name = run, name
        self._random, self._ids = Random(f"{run.scenario.seed} {name}"), count()
        self._began = run.clock.now
        self._connections: list[Connection] = []
        self._producers: list[Producer] = []
        self._own = {
            "Environment": Environment(
                time=run.clock.time,
                monotonic=self._monotonic,
                sleep=self._sleep,
                uniform=self._random.uniform,
                new_id=self._new_id,
                connect=self._connect,
            ),
            "NewProducer": NewProducer(self),
        }

    def own(self, name: str) -> Any:
        return self._own[name]

    def kill(self) -> None:
        for connection in self._connections:
            connection.close()
        for producer in self._producers:
            producer.kill()
        self._producers.clear()

    def _monotonic(self) -> float:
        return self._run.clock.now - self._began + 1000.0

    def _sleep(self, seconds: float) -> None:
        self._run.job.current.thread.sleep(seconds)

    def _new_id(self) -> str:
        return f"{self.name}-{next(self._ids)}"

    def _connect(self, timeout_s: float, _ca_file: str | None, on_fault: Any) -> Connection:
        def fault(error: BaseException) -> None:
            self._run.violated(f"a fault in the client: {error!r}")
            on_fault(error)

        self._connections.append(Connection(self._run.lift_wing, self.name, timeout_s, fault))
        return self._connections[-1]

    def new_producer(self) -> Producer:
        producer = Producer(self._run.broker, lambda: self._run.job.current.thread)
        self._producers.append(producer)
        return producer


class Run:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.violations: list[str] = []
        self.trace: deque[str] = deque(maxlen=TRACED)
        self.clock = Clock()
        # to which task what came in its life, and had no end at its last snapshot
        self._came: dict[Task, dict[Name, Request]] = {}
        self._handed_on: set[Name] = set()
        self._wanted: tuple[Layout, Deployment] | None = None
        random = Random(scenario.seed)
        self.ledger = Ledger(self.clock, scenario.messages, scenario.deployment.configuration())
        self.lift_wing = LiftWing(self.clock, Random(random.random()), scenario.services, self.told)
        self.broker = Broker(self.clock, Random(random.random()), self._written, scenario.troubles)
        self.job = Job(
            self.clock,
            Random(random.random()),
            stages(scenario.deployment),
            InputLog(scenario.messages),
            self,
        )
        self.job.layout, self.job.declined, self.job.checkpoint_s = (
            scenario.layout,
            scenario.declined,
            scenario.checkpoint_s,
        )
        self.job.new_process = partial(Process, self)

    def violated(self, what: str) -> None:
        self.violations.append(f"{self.clock.now - EPOCH:.3f}: {what}")
        self.told(what)

    def told(self, what: str) -> None:
        self.trace.append(f"{self.clock.now - EPOCH:9.3f} {what}")

    def run(self) -> list[str]:
        """Returns what was violated."""
        self._plan()
        self.job.start()
        self._look()
        ends = self.scenario.ends
        self.clock.run(ends, self._is_enough)
        self.clock.run(ends + PATIENCE_S, lambda: not self.ledger.open or self._is_enough())
        self.clock.run(self.clock.now + 15.0, self._is_enough)
        if not self.ledger.open:  # what was asked again may still be out, or held
            self.clock.run(
                self.clock.now + PATIENCE_S,
                lambda: self._is_enough() or not any(checks.left_over(self.job.attempt.tasks)),
            )
            self.violations += checks.left_over(self.job.attempt.tasks)
        self._count_waiting()
        self.violations += checks.after_all(self.scenario, self.ledger, self.lift_wing)
        self._clear()
        return self.violations

    def _clear(self) -> None:
        """Leaves nothing to the next run: what a process knows ends with a real one."""
        for task in self.job.attempt.tasks:
            self.job.attempt.cancel(task)
        SHARED.clear()

    def _is_enough(self) -> bool:
        return len(self.violations) > TOLD

    def _plan(self) -> None:
        for at in self.scenario.kills:
            self.clock.after(at - EPOCH, partial(self._kill, at in self.scenario.older))
        for at, layout, deployment in self.scenario.rescales:
            self.clock.after(at - EPOCH, partial(self._rescale, layout, deployment))
        for begin, end, share in self.scenario.failing:
            self.clock.after(begin - EPOCH, partial(setattr, self.job, "failing", share))
            self.clock.after(end - EPOCH, partial(setattr, self.job, "failing", 0.0))

    def _count_waiting(self) -> None:
        """Looks now and then whether the counts are right."""
        for process in self.job.attempt.processes.values():
            for each in checks.miscounted(
                [
                    task
                    for task in self.job.attempt.tasks
                    if task.process is process and self.job.attempt.is_running
                ]
            ):
                self.violated(each)

    def _look(self) -> None:
        self._count_waiting()
        self.clock.after(LOOK_S, self._look)

    def _kill(self, older: bool) -> None:
        attempt = self.job.attempt
        self.told(f"a process is killed{', and the newest checkpoint is lost' if older else ''}")
        if older and len(self.job.checkpoints) > 1:
            self.job.checkpoints.pop()
        attempt.kill(self.job.random.choice([*attempt.processes.values()]))

    def _rescale(self, layout: Layout, deployment: Deployment) -> None:
        self.told(f"savepoint, then {layout}, stopped: {deployment.stopped or 'none'}")
        self._wanted = layout, deployment
        self._stop()

    def _stop(self) -> None:
        """Asks for a savepoint until there is one, as `stream` does: a job that is just starting takes
        none."""
        if self._wanted:
            if self.job.attempt.is_running and self.job.attempt.stopped is None:
                self.job.attempt.savepoint(self._go_on)
            self.clock.after(1.0, self._stop)

    def _go_on(self) -> None:
        assert self._wanted
        (self.job.layout, deployment), self._wanted = self._wanted, None
        self.job.take(stages(deployment))
        self.job.restart()

    def _written(self, topic: str, value: bytes) -> None:
        self.ledger.written(topic, value)

    # What the job tells

    def shuffled(self, task: Task, _key: str, value: bytes) -> None:
        """What one task hands on is another's to hold."""
        if came := self._came.get(task):
            self._handed_on.update(name for name in names_in(value) if came.pop(name, None))

    def processed(self, task: Task, element: Any) -> None:
        """Notes what came to a task; not an event that comes again, and is dropped, while another task has
        its score."""
        came = self._came.setdefault(task, {})
        for name in names_in(element[1]):
            if (request := self.ledger.open.get(name)) and not (
                self.scenario.deployment.each_event_once and name in self._handed_on
            ):
                came[name] = request

    def snapshotted(self, task: Task, state: TaskState) -> None:
        if came := self._came.get(task):
            for each in checks.not_held(state, came):
                self.violated(each)
            for name in [name for name, request in came.items() if request.ends]:
                del came[name]

    def ended(self, task: Task, _step: Step, output: Any) -> None:
        if isinstance(output, (ScoreResponse, Failure)):
            self.told(
                f"{task} ends {output.request.rev_id if isinstance(output, ScoreResponse) else output.reason}"
            )

    def failed(self, task: Task, error: Exception) -> None:
        self.told(f"{task}: a bundle fails: {error!r}")
        if not isinstance(error, InjectedError):
            self.violated(f"a bundle failed: {error!r:.200} at {extract_tb(error.__traceback__)[-1]}")

    def completed(self, checkpoint: Checkpoint) -> None:
        if not self.trace or "checkpoint" not in self.trace[-1]:
            self.told(f"checkpoint {checkpoint.number} of {checkpoint.started_at - EPOCH:.3f} is complete")
        for lost in checks.not_kept(checkpoint, self.ledger):
            self.violated(lost)
