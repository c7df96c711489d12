"""The processes of a benchmark by what they are: how much CPU and memory they take, and which to end."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil

# in the environment of all that this process starts, and of what those start
_MARK = "REVISION_SCORES_BENCHMARK"

# Words of a command line. Flink is all in the job server where it is embedded, and in two processes where it
# is a cluster.
ROLES = {
    "broker": "kafka.Kafka",
    "Lift Wing": "runners.simulated_lift_wing",
    "JobManager": "StandaloneSessionClusterEntrypoint",
    "TaskManager": "TaskManagerRunner",
    "job server": "FlinkJobServerDriver",
    "Python worker": "apache_beam.runners.worker.sdk_worker",
    "worker pool": "worker_pool",
    "command": "pipeline stream",
}
SURROUNDINGS = ("broker", "Lift Wing")


def mark() -> None:
    """From here on, what this process starts is found again."""
    os.environ.setdefault(_MARK, uuid.uuid4().hex)


def all_processes() -> Iterator[tuple[str, psutil.Process]]:
    """Every process that belongs to this benchmark but itself, by its role; "other" if it has none."""
    ours = os.environ[_MARK]
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if (
                process.pid != os.getpid()
                and process.environ().get(_MARK) == ours
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                line = " ".join(process.cmdline())
                yield next((role for role, words in ROLES.items() if words in line), "other"), process


def of_role(role: str) -> list[psutil.Process]:
    return [process for found, process in all_processes() if found == role]


def cpu_s() -> dict[str, float]:
    """CPU seconds so far of the system under test, of its Python and its Java processes."""
    return _of_system(lambda process: sum(process.cpu_times()[:2]))


def system_mb() -> dict[str, float]:
    """Resident memory of the system under test, of its Python and its Java processes, in MB."""
    return _of_system(lambda process: process.memory_info().rss / 1e6)


def _of_system(figure: Callable[[psutil.Process], float]) -> dict[str, float]:
    sums = {"python": 0.0, "java": 0.0}
    for role, process in all_processes():
        if role not in SURROUNDINGS:
            with suppress(psutil.Error):
                sums["java" if process.name() == "java" else "python"] += figure(process)
    return sums


def rss_mb() -> Counter[str]:
    """Resident memory by role, in MB."""
    sums: Counter[str] = Counter()
    for role, process in all_processes():
        with suppress(psutil.Error):
            sums[role] += round(process.memory_info().rss / 1e6)
    return sums


def flink_mb(rss: Counter[str]) -> int:
    """Of those, Flink's: of the process that holds the state."""
    return rss["TaskManager"] or rss["job server"]
