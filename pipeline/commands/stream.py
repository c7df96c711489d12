"""The command `stream`: events from Kafka, scores to Kafka, on a Flink that goes on where it stopped."""

from __future__ import annotations

import argparse
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.checks import eventgate as check_eventgate
from pipeline.checks import topics as check_topics
from pipeline.checks.findings import Finding
from pipeline.config.eventgate import eventgates
from pipeline.config.kafka import Kafka, input_topics, output_topics
from pipeline.console import operator_log
from pipeline.console.operator_log import formatter, say
from pipeline.flink import state_folder, state_identity
from pipeline.flink.component_ids import LabelIds
from pipeline.flink.deployments import Build, EmbeddedFlink, FlinkCluster, JobLost, write_job
from pipeline.flink.rest import FlinkRest
from pipeline.flink.snapshots import Snapshots
from pipeline.flink.state_identity import Identity
from pipeline.flink.supervisor import supervise
from pipeline.graph import score_revisions
from pipeline.health.diagnosis import Diagnosis
from pipeline.health.kafka_facts import KafkaLook
from pipeline.health.observer import Observer
from pipeline.process.child_process import ServerError, free_port
from pipeline.process.signals import stop_on_signals
from pipeline.times import time_of
from pipeline.usage_error import UsageError
from schemas import ERROR
from transforms.async_io.stateful import InState
from transforms.combine_scores import CombineInState
from transforms.connectors.eventgate_sink import EventGate
from transforms.connectors.kafka_places import EARLIEST, LATEST
from transforms.connectors.kafka_sink import WriteToKafka
from transforms.connectors.kafka_source import KafkaTopics
from transforms.delivery.retry_deliveries import RetryDeliveries
from transforms.events.combined_events import SCHEMAS, STREAM
from transforms.models.model import Configuration

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_CHATTER = (  # of Beam: how it reads our type hints, and that it passes over options which the job server takes
    "apache_beam.typehints.native_type_compatibility",
    "apache_beam.options.pipeline_options",
    "apache_beam.transforms.core",
)


def run(configuration: Configuration, arguments: argparse.Namespace, options: list[str]) -> int:
    """Streams until SIGTERM or Ctrl-C. Gives 1 when Flink does not take the job, or somebody ends it there."""
    operator_log.configure("stream", arguments.log_format, arguments.log_level)
    check_use(arguments, options)
    if arguments.flink:
        FlinkRest(arguments.flink).check_answers()
    topics, written = topics_of(configuration, arguments)
    kafka = Kafka(arguments.kafka, arguments.kafka_properties)
    gates = None if arguments.output == "kafka" else eventgates(arguments.output, configuration)
    kafka.check_topics(topics, written)
    state = state_folder.folder_of(arguments)
    state_folder.make(state)
    sink = _sink(configuration, kafka, gates)
    build = partial(_build, configuration, arguments, kafka, topics, sink)
    with state_folder.alone(state):
        _log_to(state / "driver.log", arguments)
        _take(state, identity_of(arguments, kafka, topics), kafka, arguments)
        if arguments.job_jar:
            return _write_job(arguments, state, build, options)
        stop, port, snapshots = stop_on_signals(), free_port(), Snapshots(state)
        flink = (
            FlinkCluster(state, arguments.flink, arguments.workers, snapshots)
            if arguments.flink
            else EmbeddedFlink(state, port, arguments.metrics_port, snapshots)
        )
        where = f"Flink at {arguments.flink or f'127.0.0.1:{port}'}, state and logs in {state}"
        ready = f"reading {', '.join(topics)} of {arguments.kafka}, asking {configuration.lift_wing.url}; {where}"
        say(f"{'handing the job to' if arguments.flink else 'starting'} {where}")
        ask_sink = partial(asked_of_sink, kafka, written, gates, written_streams(configuration, arguments))
        diagnosis = Diagnosis(configuration.models, _written(configuration, topics, arguments))
        Observer(state, arguments.group, diagnosis, KafkaLook(kafka, arguments.group, topics, written), ask_sink).start(stop)
        return supervise(partial(flink.running, arguments.group, build, options), stop, snapshots, ready)


def identity_of(arguments: argparse.Namespace, kafka: Kafka, topics: Sequence[str]) -> Identity:
    """What the state of such a run belongs to. Raises UsageError."""
    cluster_id, topic_ids = kafka.topic_ids(topics)
    return Identity(cluster_id, arguments.group, topic_ids, arguments.combined is not None)


def _take(state: Path, now: Identity, kafka: Kafka, arguments: argparse.Namespace) -> None:
    """Takes the state for this run, and says what changes. Raises UsageError for another's."""
    before = state_identity.check(state, now, arguments.adopt_state)
    for line in state_identity.changes(before, now):
        say(line)
    if before is None or before.kafka != now.kafka:
        kafka.begin(arguments.group, list(now.topics), start_of(arguments.start))
    state_identity.write(state, now)


def check_use(arguments: argparse.Namespace, options: Sequence[str]) -> None:
    """Raises UsageError for what can be told without looking anywhere."""
    if any(option.startswith("--runner") for option in options):
        raise UsageError("--runner: a stream runs on Flink; name a cluster with --flink HOST:PORT, or leave both out")
    if arguments.combined is not None and not arguments.combined > 0:
        raise UsageError(f"--combined: expected a number of seconds above 0, got {arguments.combined:g}")
    start_of(arguments.start)


def start_of(given: str) -> str | int:
    """Where a group without a place begins: earliest, latest, or milliseconds since the epoch. Raises UsageError."""
    time = None if given in (EARLIEST, LATEST) else time_of("--from", given)
    return round(time.timestamp() * 1000) if time else given


def topics_of(configuration: Configuration, arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """What a stream reads of Kafka and writes there; it writes nothing when EventGate does. Raises UsageError."""
    read = input_topics(configuration, arguments.input_topics)
    return read, _written(configuration, read, arguments) if arguments.output == "kafka" else []


def _written(configuration: Configuration, read: Sequence[str], arguments: argparse.Namespace) -> list[str]:
    """The topics of what is written, whether by Kafka or by EventGate."""
    return output_topics(configuration, read, [STREAM] if arguments.combined else [])


def _streams(configuration: Configuration, combine: CombineInState | None) -> frozenset[str]:
    """All that the job writes to."""
    return frozenset([*(model.stream for model in configuration.models.values()), configuration.failure_stream, *([STREAM] if combine else [])])


def _sink(configuration: Configuration, kafka: Kafka, gates: Mapping[str, str] | None) -> EventGate | WriteToKafka:
    if gates:
        return EventGate(gates, configuration.failure_stream, waits_in_state=True)
    return WriteToKafka(kafka.address, configuration.failure_stream, kafka.properties, waits_in_state=True)


def written_streams(configuration: Configuration, arguments: argparse.Namespace) -> dict[str, str]:
    """All that are written, and the schema of each."""
    streams = {configuration.failure_stream: ERROR} | ({STREAM: SCHEMAS[arguments.combined_schema]} if arguments.combined else {})
    return streams | {model.stream: model.schema for model in configuration.models.values() if model.active}


def asked_of_sink(kafka: Kafka, topics: Sequence[str], gates: Mapping[str, str] | None, streams: Mapping[str, str]) -> Iterator[Finding]:
    """What is wrong with where scores go, by what Kafka or each EventGate answers."""
    if not gates:
        yield from check_topics.look(kafka, [], topics)
    for url in dict.fromkeys(gates.values()) if gates else ():
        yield from check_eventgate.look(url, streams)


def _write_job(arguments: argparse.Namespace, state: Path, build: Build, options: Sequence[str]) -> int:
    try:
        write_job(arguments.job_jar.resolve(), state, arguments.workers, arguments.group, build, options)
    except (ServerError, FileNotFoundError, JobLost) as error:
        raise UsageError(str(error)) from error
    print(f"wrote {arguments.job_jar}")
    return 0


def _build(
    configuration: Configuration,
    arguments: argparse.Namespace,
    kafka: Kafka,
    topics: Sequence[str],
    sink: EventGate | WriteToKafka,
    options: PipelineOptions,
) -> beam.Pipeline:
    pipeline = beam.Pipeline(options=options)
    pipeline.component_id_map = LabelIds()
    source = KafkaTopics(topics, kafka.address, arguments.group, start_of(arguments.start), kafka.properties, arguments.adopt_state)
    combine = CombineInState(configuration.models, SCHEMAS[arguments.combined_schema], arguments.combined) if arguments.combined else None
    score_revisions(
        pipeline,
        configuration,
        source,
        sink,
        InState(arguments.each_event_once),
        None,
        combine,
        RetryDeliveries(sink.writing, _streams(configuration, combine)),
    )
    return pipeline


def _log_to(file: Path, arguments: argparse.Namespace) -> None:
    """Sends what Beam's client says into a file of its own, and the complaints of its threads when they are stopped."""
    handler = logging.FileHandler(file)
    handler.setFormatter(formatter("json", "stream") if arguments.log_format == "json" else logging.Formatter(_FORMAT))
    logging.basicConfig(handlers=[handler], level=arguments.log_level.upper(), force=True)
    logging.raiseExceptions = False  # a disk that is full is told by the observer, not by a traceback for each line
    if arguments.log_level != "debug":
        for name in _CHATTER:
            logging.getLogger(name).setLevel(logging.ERROR)
    threading.excepthook = lambda trouble: logging.getLogger(__name__).info(
        "thread %s ended", trouble.thread, exc_info=(trouble.exc_type, trouble.exc_value or trouble.exc_type(), trouble.exc_traceback)
    )
