"""Where a stream benchmark runs: a real broker, a simulated Lift Wing in a process of its own, a load, and
the command under test."""

from __future__ import annotations

import argparse
import signal
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from pipeline.config.models_file import load
from pipeline.config.topics import input_topics, output_topics
from pipeline.process.child_process import free_port
from runners.local_kafka import LocalKafka
from runners.programs import LocalFlinkProgram, Program, SimulatedLiftWingProgram
from runners.simulated_lift_wing import latency as simulated_latency
from tests.benchmarks import processes
from tests.benchmarks.edits import Edits
from tests.benchmarks.load import Load
from tests.benchmarks.nine_models import write_nine_models
from transforms.models.model import Configuration

STAGING = "lognormal:0.48:6.5"  # seconds at p50 and p99; what Lift Wing's staging takes for most models


def parser(
    description: str | None,
    *,
    rate: float | None = None,
    seconds: float | None = None,
    latency: str = STAGING,
) -> argparse.ArgumentParser:
    """The options that scenarios share, with their defaults; None: this one has no such option."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if rate is not None:
        options.add_argument("--rate", type=float, default=rate, help=f"calls a second (default: {rate:g})")
    if seconds is not None:
        options.add_argument(
            "--seconds", type=float, default=seconds, help=f"of each measurement (default: {seconds:g})"
        )
    options.add_argument(
        "--latency",
        default=latency,
        help=f"of Lift Wing: staging, lognormal:P50:P99 or seconds (default: {latency})",
    )
    options.add_argument(
        "--cluster",
        action="store_true",
        help="a Flink cluster of processes of its own, in place of one inside the command",
    )
    options.add_argument(
        "--task-managers",
        type=int,
        default=1,
        metavar="N",
        help="with --cluster: each with a Python worker of its own, and so much parallelism (default: 1)",
    )
    options.add_argument(
        "--folder",
        type=Path,
        help="below which logs, state and the broker's data are kept (default: a temporary one)",
    )
    return options


class LiftWing:
    """The simulated Lift Wing at a port that stays its own when it is restarted; it remembers nothing of
    single revisions."""

    def __init__(self, latency_text: str) -> None:
        self._options = [
            "--port",
            str(free_port()),
            "--other-port",
            str(free_port()),
            "--no-records",
            "--latency",
            latency_text,
        ]
        self.draw = simulated_latency.latency(latency_text)

    def start(self) -> None:
        self._program = SimulatedLiftWingProgram(*self._options).__enter__()
        self.url = self._program.url
        self.other_url = self._program.wait_for(r"other port: (http\S+)")[1]

    def stop(self) -> None:
        self._program.stop()

    def kill(self) -> None:
        self._program.stop(signal.SIGKILL)

    def control(self, **wanted: Any) -> None:
        requests.post(f"{self.url}/control", json=wanted, timeout=60).raise_for_status()

    def clear(self) -> None:
        requests.delete(f"{self.url}/control", timeout=60).raise_for_status()


@dataclass
class Stage:
    folder: Path
    configuration: Configuration
    kafka: LocalKafka
    lift_wing: LiftWing
    load: Load
    cluster: Sequence[str] = ()  # options of the command
    output: Sequence[str] = ()  # options of the command, where its scores do not go to Kafka

    def stream(self, models: Path) -> Program:
        """The command under test, not yet started."""
        where = ["--kafka", self.kafka.address, "--state", str(self.folder / "state")]
        return Program(
            "pipeline",
            "stream",
            "--models",
            str(models),
            "--from",
            "earliest",
            *where,
            *self.cluster,
            *self.output,
        )

    @contextmanager
    def streaming(self, models: Path) -> Iterator[Program]:
        """The command under test, up: a first score has come."""
        with self.stream(models) as program:
            program.wait_for("^reading")
            self.load.send_until_scored()
            yield program


@contextmanager
def stage(
    arguments: argparse.Namespace,
    edits_of: Callable[[Configuration], Edits] = Edits,
    broker_settings: str = "",
) -> Iterator[Stage]:
    """All but the command under test, with the topics of all nine models."""
    processes.mark()
    with ExitStack() as stack:
        folder = (
            _folder(arguments.folder)
            if arguments.folder
            else Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        )
        lift_wing = LiftWing(arguments.latency)
        lift_wing.start()
        stack.callback(lift_wing.stop)
        configuration = load(write_nine_models(folder / "nine_models.yaml", lift_wing.url))
        kafka = stack.enter_context(LocalKafka(folder / "kafka", more_settings=broker_settings))
        inputs = input_topics(configuration, None)
        kafka.create_topics(*inputs, *output_topics(configuration, inputs))
        load_ = Load(kafka.address, configuration, edits_of(configuration))
        stack.enter_context(load_.counting())
        cluster = stack.enter_context(_cluster(folder, arguments.task_managers)) if arguments.cluster else ()
        yield Stage(folder, configuration, kafka, lift_wing, load_, cluster)


def _folder(wanted: Path) -> Path:
    """A new one below it for each time a stage is set up."""
    wanted.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=wanted.resolve()))


@contextmanager
def _cluster(folder: Path, task_managers: int) -> Iterator[Sequence[str]]:
    """A running Flink cluster, and the options that send a job there which uses all of it."""
    with LocalFlinkProgram(
        folder / "cluster", "--task-managers", str(task_managers), "--slots", "1"
    ) as flink:
        yield "--flink", flink.address, "--workers", flink.workers, f"--parallelism={task_managers}"


def restarts_of(flink: str) -> int:
    """How often the job that runs on a Flink, HOST:PORT, was started again."""
    jobs = requests.get(f"http://{flink}/jobs", timeout=10).json()["jobs"]
    (running,) = [job["id"] for job in jobs if job["status"] == "RUNNING"]
    (metric,) = requests.get(f"http://{flink}/jobs/{running}/metrics?get=numRestarts", timeout=10).json()
    return int(metric["value"])


def quantiles(values: Collection[float], shares: tuple[float, ...] = (0.5, 0.9, 0.99)) -> list[float]:
    """Of values that rise."""
    rising = list(values)
    return (
        [rising[int(share * (len(rising) - 1))] for share in shares]
        if rising
        else [float("nan")] * len(shares)
    )
