"""The command `stream`: events from Kafka, scores to Kafka, on a Flink that goes on where it stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.checks import eventgate as check_eventgate
from pipeline.checks import topics as check_topics
from pipeline.checks.findings import Finding
from pipeline.config.eventgate import eventgates
from pipeline.config.kafka import Kafka, input_topics, output_topics
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import ClientOptions, KafkaOptions, LogOptions
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
from pipeline.options import flag, option
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
# of Beam: how it reads our type hints, and that it passes over options which the job server takes
_CHATTER = (
    "apache_beam.typehints.native_type_compatibility",
    "apache_beam.options.pipeline_options",
    "apache_beam.transforms.core",
)


@dataclass(frozen=True, kw_only=True)
class Options(LogOptions, KafkaOptions, ClientOptions):
    """Of `check` too."""

    input_topics: str | None = option(
        "--input-topics",
        metavar="TOPICS",
        help="with commas between (default: what the models want, of each datacenter)",
    )
    output: str = option(
        "--output",
        default="kafka",
        metavar="WHERE",
        help="where scores go: kafka, eventgate=URL, or eventgate.DATACENTER=URL for each with commas "
        "between (default: kafka)",
    )
    group: str = option(
        "--group",
        default="revision-scores",
        help="Kafka consumer group, and the name of the state (default: revision-scores)",
    )
    start: str = option(
        "--from",
        default="latest",
        metavar="WHERE",
        help="where a group without a place begins: earliest, latest, or a time such as 2024-02-15T13:00, "
        "in UTC (default: latest)",
    )
    each_event_once: bool = flag(
        "--each-event-once", help="drop an event whose meta.id came within the last hour"
    )
    state: Path = option(
        "--state",
        type=Path,
        default=Path("revision-scores-state"),
        metavar="DIR",
        help="checkpoints and logs; a new run goes on from here",
    )
    adopt_state: bool = flag(
        "--adopt-state", help="go on with a --state that is of another Kafka or another --group"
    )
    flink: str | None = option(
        "--flink",
        metavar="HOST:PORT",
        help="JobManager of a cluster that has --state too (default: a Flink inside this command)",
    )
    workers: str = option(
        "--workers",
        default="127.0.0.1:50000",
        metavar="HOST:PORT",
        help="with --flink: Python workers, as a TaskManager sees them (default: 127.0.0.1:50000)",
    )
    combined: float | None = option(
        "--combined",
        type=float,
        metavar="SECONDS",
        help="also the legacy mediawiki.revision-score, one event a revision, of what came within so long",
    )
    combined_schema: str = option(
        "--combined-schema",
        choices=["2.0.0", "3.0.0"],
        default="3.0.0",
        help="of /mediawiki/revision/score (default: 3.0.0)",
    )
    job_jar: Path | None = option(
        "--job-jar",
        type=Path,
        metavar="FILE",
        help="write the job for a cluster that runs it by itself (Kubernetes), and end",
    )
    metrics_port: int | None = option(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="without --flink: where Prometheus finds metrics (default: nowhere)",
    )

    @property
    def state_folder(self) -> Path:
        return state_folder.folder_of(self.state, self.group)


def run(options: Options, beam_options: list[str]) -> int:
    """Streams until SIGTERM or Ctrl-C. Gives 1 when Flink does not take the job, or somebody ends it
    there."""
    configuration = load_with(options.models, options.overrides)
    operator_log.configure("stream", options.log_format, options.log_level)
    check_use(options, beam_options)
    if options.flink:
        FlinkRest(options.flink).check_answers()
    topics, written = topics_of(configuration, options)
    kafka = Kafka(options.kafka, options.kafka_properties)
    gates = None if options.output == "kafka" else eventgates(options.output, configuration)
    kafka.check_topics(topics, written)
    state = options.state_folder
    state_folder.make(state)
    sink = _sink(configuration, kafka, gates)
    build = partial(_build, configuration, options, kafka, topics, sink)
    with state_folder.alone(state):
        _log_to(state / "driver.log", options)
        _take(state, identity_of(options, kafka, topics), kafka, options)
        if options.job_jar:
            return _write_job(options, options.job_jar, build, beam_options)
        stop, port, snapshots = stop_on_signals(), free_port(), Snapshots(state)
        flink = (
            FlinkCluster(state, options.flink, options.workers, snapshots)
            if options.flink
            else EmbeddedFlink(state, port, options.metrics_port, snapshots)
        )
        where = f"Flink at {options.flink or f'127.0.0.1:{port}'}, state and logs in {state}"
        ready = (
            f"reading {', '.join(topics)} of {options.kafka}, asking {configuration.lift_wing.url}; {where}"
        )
        say(f"{'handing the job to' if options.flink else 'starting'} {where}")
        ask_sink = partial(asked_of_sink, kafka, written, gates, written_streams(configuration, options))
        diagnosis = Diagnosis(configuration.models, _written(configuration, topics, options))
        Observer(
            state, options.group, diagnosis, KafkaLook(kafka, options.group, topics, written), ask_sink
        ).start(stop)
        return supervise(partial(flink.running, options.group, build, beam_options), stop, snapshots, ready)


def identity_of(options: Options, kafka: Kafka, topics: Sequence[str]) -> Identity:
    """What the state of such a run belongs to. Raises UsageError."""
    cluster_id, topic_ids = kafka.topic_ids(topics)
    return Identity(cluster_id, options.group, topic_ids, options.combined is not None)


def _take(state: Path, now: Identity, kafka: Kafka, options: Options) -> None:
    """Takes the state for this run, and says what changes. Raises UsageError for another's."""
    before = state_identity.check(state, now, options.adopt_state)
    for line in state_identity.changes(before, now):
        say(line)
    if before is None or before.kafka != now.kafka:
        kafka.begin(options.group, list(now.topics), start_of(options.start))
    state_identity.write(state, now)


def check_use(options: Options, beam_options: Sequence[str]) -> None:
    """Raises UsageError for what can be told without looking anywhere."""
    if any(given.startswith("--runner") for given in beam_options):
        raise UsageError(
            "--runner: a stream runs on Flink; name a cluster with --flink HOST:PORT, or leave both out"
        )
    if options.combined is not None and not options.combined > 0:
        raise UsageError(f"--combined: expected a number of seconds above 0, got {options.combined:g}")
    start_of(options.start)


def start_of(given: str) -> str | int:
    """Where a group without a place begins: earliest, latest, or milliseconds since the epoch. Raises
    UsageError."""
    time = None if given in (EARLIEST, LATEST) else time_of("--from", given)
    return round(time.timestamp() * 1000) if time else given


def topics_of(configuration: Configuration, options: Options) -> tuple[list[str], list[str]]:
    """What a stream reads of Kafka and writes there; it writes nothing when EventGate does. Raises
    UsageError."""
    read = input_topics(configuration, options.input_topics)
    return read, _written(configuration, read, options) if options.output == "kafka" else []


def _written(configuration: Configuration, read: Sequence[str], options: Options) -> list[str]:
    """The topics of what is written, whether by Kafka or by EventGate."""
    return output_topics(configuration, read, [STREAM] if options.combined else [])


def _streams(configuration: Configuration, combine: CombineInState | None) -> frozenset[str]:
    """All that the job writes to."""
    return frozenset(
        [
            *(model.stream for model in configuration.models.values()),
            configuration.failure_stream,
            *([STREAM] if combine else []),
        ]
    )


def _sink(
    configuration: Configuration, kafka: Kafka, gates: Mapping[str, str] | None
) -> EventGate | WriteToKafka:
    if gates:
        return EventGate(gates, configuration.failure_stream, waits_in_state=True)
    return WriteToKafka(kafka.address, configuration.failure_stream, kafka.properties, waits_in_state=True)


def written_streams(configuration: Configuration, options: Options) -> dict[str, str]:
    """All that are written, and the schema of each."""
    streams = {configuration.failure_stream: ERROR} | (
        {STREAM: SCHEMAS[options.combined_schema]} if options.combined else {}
    )
    return streams | {model.stream: model.schema for model in configuration.models.values() if model.active}


def asked_of_sink(
    kafka: Kafka, topics: Sequence[str], gates: Mapping[str, str] | None, streams: Mapping[str, str]
) -> Iterator[Finding]:
    """What is wrong with where scores go, by what Kafka or each EventGate answers."""
    if not gates:
        yield from check_topics.look(kafka, [], topics)
    for url in dict.fromkeys(gates.values()) if gates else ():
        yield from check_eventgate.look(url, streams)


def _write_job(options: Options, job_jar: Path, build: Build, beam_options: Sequence[str]) -> int:
    try:
        write_job(
            job_jar.resolve(), options.state_folder, options.workers, options.group, build, beam_options
        )
    except (ServerError, FileNotFoundError, JobLost) as error:
        raise UsageError(str(error)) from error
    print(f"wrote {job_jar}")
    return 0


def _build(
    configuration: Configuration,
    options: Options,
    kafka: Kafka,
    topics: Sequence[str],
    sink: EventGate | WriteToKafka,
    settings: PipelineOptions,
) -> beam.Pipeline:
    pipeline = beam.Pipeline(options=settings)
    pipeline.component_id_map = LabelIds()
    source = KafkaTopics(
        topics, kafka.address, options.group, start_of(options.start), kafka.properties, options.adopt_state
    )
    combine = (
        CombineInState(configuration.models, SCHEMAS[options.combined_schema], options.combined)
        if options.combined
        else None
    )
    score_revisions(
        pipeline,
        configuration,
        source,
        sink,
        InState(options.each_event_once),
        None,
        combine,
        RetryDeliveries(sink.writing, _streams(configuration, combine)),
    )
    return pipeline


def _log_to(file: Path, options: Options) -> None:
    """Sends what Beam's client says into a file of its own, and the complaints of its threads when they are
    stopped."""
    handler = logging.FileHandler(file)
    handler.setFormatter(
        formatter("json", "stream") if options.log_format == "json" else logging.Formatter(_FORMAT)
    )
    logging.basicConfig(handlers=[handler], level=options.log_level.upper(), force=True)
    # a disk that is full is told by the observer, not by a traceback for each line
    logging.raiseExceptions = False
    if options.log_level != "debug":
        for name in _CHATTER:
            logging.getLogger(name).setLevel(logging.ERROR)
    threading.excepthook = lambda trouble: logging.getLogger(__name__).info(
        "thread %s ended",
        trouble.thread,
        exc_info=(trouble.exc_type, trouble.exc_value or trouble.exc_type(), trouble.exc_traceback),
    )
