"""The command `stream`: events from Kafka, scores to Kafka, on an embedded Flink that goes on where it stopped."""

from __future__ import annotations

import argparse
import fcntl
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pipeline import beam_options
from pipeline.flink import ExpansionService, JobServer, WorkerPool
from pipeline.graph import score_revisions
from pipeline.servers import ServerError, started
from pipeline.wrong_use import WrongUse
from transforms.kafka_sink import KafkaStreams
from transforms.kafka_source import KafkaTopics
from transforms.models import Configuration
from transforms.wait_in_state import InState

_CHECKPOINT_MS = 5_000
_BUNDLE_MS, _BUNDLE_SIZE = 20, 50  # a bundle that waits to fill is latency for every element in it
_REPORT_S = 60


def run(configuration: Configuration, arguments: argparse.Namespace, options: list[str]) -> int:
    """Streams until SIGTERM or Ctrl-C. Gives 1 when Flink gives the job up."""
    topics = _topics(configuration, arguments.input_topics)
    _check_broker(arguments.kafka, topics)
    state = arguments.state.resolve() / arguments.group
    state.mkdir(parents=True, exist_ok=True)
    stop = _stop_on_signals()
    try:
        with _alone_in(state), _started(state, options) as (expansion, runner_options):
            pipeline = beam.Pipeline(options=PipelineOptions([*runner_options, *options]))
            score_revisions(
                pipeline,
                configuration,
                KafkaTopics(topics, _consumer(arguments), expansion.address),
                KafkaStreams({"bootstrap.servers": arguments.kafka}),
                InState(arguments.each_event_once),
            )
            _log_to(state / "driver.log")
            result = pipeline.run()
            print(f"reading {', '.join(topics)} of {arguments.kafka}, asking {configuration.lift_wing.url}; state and logs in {state}", flush=True)
            return _watch(result, stop, state)
    except (ServerError, FileNotFoundError) as error:
        raise WrongUse(str(error)) from error


def _topics(configuration: Configuration, given: str | None) -> list[str]:
    """Topics whose prefix is a datacenter of the models file: scores go out under the same prefix."""
    if given is None:
        return [f"{datacenter}.mediawiki.revision-create" for datacenter in configuration.datacenters]
    topics = [topic.strip() for topic in given.split(",")]
    for topic in topics:
        if topic.partition(".")[0] not in configuration.datacenters:
            raise WrongUse(f"--input-topics: expected topics that begin with {' or '.join(f'{name}.' for name in configuration.datacenters)}, got {topic!r}")
    return topics


def _check_broker(address: str, topics: Sequence[str]) -> None:
    try:
        found = AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=5).topics
    except KafkaException as error:
        raise WrongUse(f"--kafka: no broker answers at {address} ({error.args[0].str()})") from error
    for topic in topics:
        if topic not in found:
            raise WrongUse(f"--input-topics: the broker at {address} has no topic {topic}; create it, or name others")


def _consumer(arguments: argparse.Namespace) -> Mapping[str, str]:
    return {
        "bootstrap.servers": arguments.kafka,
        "group.id": arguments.group,
        "auto.offset.reset": arguments.start,
        "enable.auto.commit": "false",  # Kafka's default is to commit what is merely read; KafkaIO commits what a checkpoint holds
    }


@contextmanager
def _alone_in(state: Path) -> Iterator[None]:
    """Two runs in one place would take each other's checkpoints for their own."""
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WrongUse(f"--state: another stream works in {state}; stop it, or name another --group or --state") from error
        yield


@contextmanager
def _started(state: Path, options: Sequence[str]) -> Iterator[tuple[ExpansionService, list[str]]]:
    """The servers that a run needs, and the options of the runner: an embedded Flink's, unless the command line names another."""
    expansion = ExpansionService(state)
    if any(option.startswith("--runner") for option in options):
        beam_options.check(options)
        with started(expansion):
            yield expansion, ["--streaming"]
        return
    server, workers = JobServer(state), WorkerPool(state)
    with started(server, expansion, workers):
        beam_options.check(options, also_known=beam_options.of_job_server(server.address))
        yield (
            expansion,
            [
                "--runner=PortableRunner",
                f"--job_endpoint={server.address}",
                "--environment_type=EXTERNAL",
                f"--environment_config={workers.address}",
                "--streaming",
                "--parallelism=1",
                "--experiments=use_deprecated_read",  # KafkaIO as a splittable DoFn restarts for ever on portable Flink
                f"--checkpointing_interval={_CHECKPOINT_MS}",
                f"--max_bundle_time_mills={_BUNDLE_MS}",
                f"--max_bundle_size={_BUNDLE_SIZE}",
            ],
        )


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _log_to(file: Path) -> None:
    """Sends Beam's and Flink's chatter into a file of its own, and the complaints of their threads when they are stopped."""
    logging.basicConfig(filename=file, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    threading.excepthook = lambda trouble: logging.getLogger(__name__).info(
        "thread %s ended", trouble.thread, exc_info=(trouble.exc_type, trouble.exc_value or trouble.exc_type(), trouble.exc_traceback)
    )


def _watch(result: PipelineResult, stop: threading.Event, state: Path) -> int:
    """Says every minute how far it is, until it is told to stop or Flink gives up."""
    waited = 0
    while not stop.wait(1):
        if PipelineState.is_terminal(result.state):
            print(f"revision-scores stream: Flink ended the job ({result.state}); why is at the end of {state / 'flink.log'}", file=sys.stderr)
            return 1
        waited += 1
        if waited % _REPORT_S == 0:
            print(_progress(result), flush=True)
    print("stopping; a new run goes on from the last checkpoint", flush=True)
    result.cancel()
    return 0


def _progress(result: Any) -> str:
    sums = {"events": 0, "scores": 0, "failures": 0}
    for counter in result.metrics().query()["counters"]:
        kind = counter.key.metric.name.partition("_")[0]
        if kind in sums:
            sums[kind] += counter.committed or counter.attempted or 0
    return ", ".join(f"{count} {kind}" for kind, count in sums.items())
