"""The options of `stream`, which `check` has too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.shared_options import GROUP, STATE, ClientOptions, KafkaOptions, LogOptions
from pipeline.flink import state_folder
from pipeline.options import flag, option
from pipeline.times import time_of
from pipeline.usage_error import UsageError
from transforms.async_io.stateful_async import REMEMBERED_S
from transforms.connectors.kafka_offsets import EARLIEST, LATEST


@dataclass(frozen=True, kw_only=True)
class Options(LogOptions, KafkaOptions, ClientOptions):
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
        default=GROUP,
        help=f"Kafka consumer group, and the name of the state (default: {GROUP})",
    )
    start: str = option(
        "--from",
        default="latest",
        metavar="WHERE",
        help="where a group without a place begins: earliest, latest, or a time such as 2024-02-15T13:00, "
        "in UTC (default: latest)",
    )
    each_event_once: bool = flag(
        "--each-event-once",
        help=f"drop an event whose meta.id came within the last {REMEMBERED_S // 60} minutes",
    )
    state: Path = option(
        "--state",
        type=Path,
        default=STATE,
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


def check_use(options: Options, beam_options: Sequence[str]) -> None:
    """Raises UsageError for what is wrong with options whatever there is."""
    if any(given.startswith("--runner") for given in beam_options):
        raise UsageError(
            "--runner: a stream runs on Flink; name a cluster with --flink HOST:PORT, or leave both out"
        )
    if options.combined is not None and not options.combined > 0:
        raise UsageError(f"--combined: expected a number of seconds above 0, got {options.combined:g}")
    start_of(options.start)


def start_of(given: str) -> str | int:
    """Returns where a group without a place begins: earliest, latest, or milliseconds since the epoch. Raises
    UsageError."""
    time = None if given in (EARLIEST, LATEST) else time_of("--from", given)
    return round(time.timestamp() * 1000) if time else given
