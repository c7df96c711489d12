"""Memory and disk while a benchmark runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tests.benchmarks.processes import flink_mb, rss_mb

COLUMNS = ["MB: worker", "Flink", "command", "broker", "Lift Wing", "state on disk"]


def sample(state: Path) -> list[str | float]:
    """Resident memory of each process, and what the state takes on disk, in MB; a row of COLUMNS."""
    rss = rss_mb()
    return [
        str(value)
        for value in (
            rss["Python worker"],
            flink_mb(rss),
            rss["command"],
            rss["broker"],
            rss["Lift Wing"],
            round(disk_mb(state)),
        )
    ]


def disk_mb(folder: Path) -> float:
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):  # a checkpoint that was deleted in between
            total += file.stat().st_size
    return total / 1e6
