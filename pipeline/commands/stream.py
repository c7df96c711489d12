"""The command `stream`: events from Kafka, scores to Kafka, on a Flink that goes on where it stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pipeline.checks import eventgate as check_eventgate
from pipeline.checks import topics as check_topics
from pipeline.checks.findings import Finding
from pipeline.commands.stream_job import StreamJob, identity_of, topics_of, written_streams
from pipeline.commands.stream_options import Options as Options
from pipeline.commands.stream_options import check_use, start_of
from pipeline.config.eventgate import eventgates
from pipeline.config.kafka import Kafka
from pipeline.config.overrides import load_with
from pipeline.console import command_log
from pipeline.console.beam_log import log_to
from pipeline.console.command_log import say
from pipeline.flink import flink_address, state_folder, state_identity
from pipeline.flink.deployments import EmbeddedFlink, FlinkCluster
from pipeline.flink.rest import FlinkRest
from pipeline.flink.snapshots import Snapshots
from pipeline.flink.state_identity import Identity
from pipeline.flink.submission import JobLostError, JobSpec, write_job
from pipeline.flink.supervisor import supervise
from pipeline.health.diagnosis import Diagnosis
from pipeline.health.flink_monitor import FlinkMonitor
from pipeline.health.kafka_monitor import KafkaMonitor
from pipeline.health.observer import Observer
from pipeline.health.stream_monitor import StreamMonitor
from pipeline.process.child_process import ServerError, free_port
from pipeline.process.disk import room_if_known
from pipeline.process.signals import stop_on_signals
from pipeline.usage_error import UsageError


def run(options: Options, beam_options: list[str]) -> int:
    """Streams until SIGTERM or Ctrl-C. Returns 1 when Flink does not take the job, or somebody ends it
    there."""
    configuration = load_with(options.models, options.overrides)
    command_log.configure("stream", options.log_format, options.log_level)
    check_use(options, beam_options)
    if options.flink:
        FlinkRest(options.flink).check_answers()
    topics, written = topics_of(configuration, options)
    kafka = Kafka(options.kafka, options.kafka_properties)
    gates = None if options.output == "kafka" else eventgates(options.output, configuration)
    kafka.check_topics(topics, written)
    state = options.state_folder
    state_folder.make(state)
    job = StreamJob(configuration, options, kafka, topics, gates)
    with state_folder.locked(state):
        log_to(state / "driver.log", options.log_format, options.log_level)
        _take(state, identity_of(options, kafka, topics), kafka, options)
        if options.job_jar:
            return _write_job(job, options.job_jar, beam_options)
        return _supervise(job, beam_options)


def _spec(job: StreamJob, beam_options: Sequence[str]) -> JobSpec:
    return JobSpec(job.options.group, job.build, beam_options)


def _supervise(job: StreamJob, beam_options: Sequence[str]) -> int:
    """Runs the job on Flink, and observes it, until it is told to stop; returns the exit code."""
    options, state = job.options, job.options.state_folder
    stop, port, snapshots = stop_on_signals(), free_port(), Snapshots(state)
    flink = (
        FlinkCluster(state, options.flink, options.workers, snapshots)
        if options.flink
        else EmbeddedFlink(state, port, options.metrics_port, snapshots)
    )
    where = f"Flink at {options.flink or f'127.0.0.1:{port}'}, state and logs in {state}"
    asked = job.configuration.lift_wing.url
    ready = f"reading {', '.join(job.read)} of {options.kafka}, asking {asked}; {where}"
    say(f"{'handing the job to' if options.flink else 'starting'} {where}")
    _observer(job).start(stop)
    return supervise(partial(flink.running, _spec(job, beam_options)), stop, snapshots, ready)


def _observer(job: StreamJob) -> Observer:
    options = job.options
    began = time.time()  # an address that was noted before is of a run before
    monitor = StreamMonitor(
        FlinkMonitor(lambda: flink_address.read(options.state_folder, began), options.group),
        KafkaMonitor(job.kafka, options.group, job.read, [] if job.gates else job.written),
        partial(room_if_known, options.state_folder),
    )
    return Observer(monitor, Diagnosis(job.configuration.models, job.written), partial(_ask_sink, job))


def _take(state: Path, now: Identity, kafka: Kafka, options: Options) -> None:
    """Takes the state for this run, and says what changes. Raises UsageError for another's."""
    before = state_identity.check(state, now, options.adopt_state)
    for line in state_identity.changes(before, now):
        say(line)
    if before is None or before.kafka != now.kafka:
        kafka.begin(options.group, list(now.topics), start_of(options.start))
    state_identity.write(state, now)


def _ask_sink(job: StreamJob) -> Iterator[Finding]:
    """Yields what is wrong with where scores go, by what Kafka or each EventGate answers."""
    if not job.gates:
        yield from check_topics.look(job.kafka, [], job.written)
        return
    for url in dict.fromkeys(job.gates.values()):
        yield from check_eventgate.look(url, written_streams(job.configuration, job.options))


def _write_job(job: StreamJob, job_jar: Path, beam_options: Sequence[str]) -> int:
    options = job.options
    try:
        write_job(job_jar.resolve(), options.state_folder, options.workers, _spec(job, beam_options))
    except (ServerError, FileNotFoundError, JobLostError) as error:
        raise UsageError(str(error)) from error
    print(f"wrote {job_jar}")
    return 0
