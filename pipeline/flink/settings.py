"""What `stream` and `regenerate` ask of Flink, embedded or a cluster: settings that travel with the job, and
Beam's options for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.flink.snapshots import Snapshots

_PROMETHEUS = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
_OTHER_AT_EACH_START = "task_name;task_attempt_id;task_attempt_num;operator_name"
_CHECKPOINT_MS, _CHECKPOINT_TIMEOUT_MS = 5_000, 120_000
# A bundle that waits to fill is latency for every element in it; each step wakes twice in that time, whether
# it has a bundle or not.
_BUNDLE_MS, _BUNDLE_SIZE = 12, 50


def of_job(snapshots: Snapshots) -> dict[str, str]:
    """Flink's settings for a job that survives whatever happens to Kafka, to Lift Wing and to processes of
    Flink."""
    return {
        # a model that is away for long may leave more waiting than memory holds
        "state.backend.type": "rocksdb",
        "state.backend.incremental": "true",
        "state.checkpoints.num-retained": "3",  # where the last one cannot be read, the one before serves
        "state.checkpoints.dir": snapshots.checkpoints.as_uri(),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        # Between the stages each batch goes on at once. With a timeout, a thread of each task wakes as often,
        # even if there is nothing; of the default 100 ms an event waits half.
        "execution.buffer-timeout.interval": "0 ms",
        "restart-strategy.type": "exponential-delay",  # without end, as Kafka may be away for long
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.backoff-multiplier": "2.0",
        "restart-strategy.exponential-delay.max-backoff": "60 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "5 min",
    }


def of_job_manager(rest: str) -> dict[str, str]:
    """Flink's settings for a JobManager on this machine, whose REST interface is at `rest`, HOST:PORT."""
    host, _, port = rest.partition(":")
    of_rest = {
        "rest.bind-address": host,
        "rest.address": host,
        "rest.port": port,
        "rest.bind-port": port,
        "jobmanager.bind-host": host,
    }
    # ms; by the default of 10 s trouble is told late
    return {**of_rest, "metrics.fetcher.update-interval": "5000"}


def of_metrics(port: int | None) -> dict[str, str]:
    """Flink's settings for metrics at http://...:`port`/metrics; none without a port."""
    if port is None:
        return {}
    return {
        "metrics.reporters": "prometheus",
        "metrics.reporter.prometheus.factory.class": _PROMETHEUS,
        "metrics.reporter.prometheus.port": str(port),
        "metrics.reporter.prometheus.filter.excludes": "*:*.metric*",  # Beam's own, a thousand of them
        "metrics.reporter.prometheus.scope.variables.excludes": _OTHER_AT_EACH_START,
    }


def beam_options_of_batch(job_server: str, workers: str) -> list[str]:
    """Beam's options for a job with the Python workers of the pool at `workers`, HOST:PORT as the
    TaskManagers see it."""
    where = ["--runner=PortableRunner", f"--job_endpoint={job_server}"]
    return [*where, "--environment_type=EXTERNAL", f"--environment_config={workers}"]


def beam_options(job_server: str, workers: str, name: str) -> list[str]:
    """Returns the same for a job that streams."""
    return [
        *beam_options_of_batch(job_server, workers),
        "--parallelism=1",
        f"--job_name={name}",
        "--streaming",
        f"--checkpointing_interval={_CHECKPOINT_MS}",
        f"--checkpoint_timeout_millis={_CHECKPOINT_TIMEOUT_MS}",
        # which Beam reads as "do not": a broker that is away makes checkpoints late, not wrong
        "--fail_on_checkpointing_errors",
        f"--max_bundle_time_mills={_BUNDLE_MS}",
        f"--max_bundle_size={_BUNDLE_SIZE}",
    ]


def write(folder: Path, settings: Mapping[str, str]) -> str:
    """Writes the folder that Flink takes its settings from; gives its path. Each is text: the Prometheus
    reporter passes over a port that is a number."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(
        "".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items()), encoding="utf-8"
    )
    return str(folder)
