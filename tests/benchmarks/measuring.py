"""A command as a process of its own with what it used, and tables of such figures."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from pipeline.process.child_process import die_with_parent
from tests.benchmarks.inputs import ROOT
from tests.benchmarks.meanwhile import meanwhile

_SAMPLED_EVERY_S = 2.0  # to look costs some milliseconds


@dataclass(frozen=True)
class Used:
    """What a process used, its children included."""

    seconds: float
    cpu_s: float
    peak_mb: float
    output: str


def measured(*arguments: str) -> Used:
    """Runs `python -m` something. Raises RuntimeError, with what it said, when it fails."""
    with tempfile.TemporaryFile("w+") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
        try:
            sampled = _SampledCpu(process.pid)
            with meanwhile(sampled.look, _SAMPLED_EVERY_S):
                _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        seconds = time.monotonic() - began
        output.seek(0)
        told = output.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments[:2])} ended with {process.returncode}; it said:\n{told}")
    return Used(seconds, max(sampled.cpu_s, usage.ru_utime + usage.ru_stime), usage.ru_maxrss / 1024, told)


class _SampledCpu:
    """What a process and all below it used, as far as it was seen: a process of Spark's that nobody waits for
    is in no other account."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._by_pid: dict[int, float] = {}

    @property
    def cpu_s(self) -> float:
        return sum(self._by_pid.values())

    def look(self) -> None:
        with suppress(psutil.Error):
            for each in [self._process, *self._process.children(recursive=True)]:
                with suppress(psutil.Error):
                    self._by_pid[each.pid] = sum(each.cpu_times()[:2])


def per_10_000(cpu_s: float, count: float) -> float:
    return cpu_s / count * 10_000


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """Lines of a table: text to the left, numbers to the right with as many digits as they deserve."""
    cells = [cells_of(row) for row in rows]
    widths = [max(len(row[index]) for row in [list(columns), *cells]) for index in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()

    return "\n".join(
        ["", title, line(columns), "  ".join("-" * width for width in widths), *map(line, cells)]
    )


def cells_of(row: Sequence[str | float]) -> list[str]:
    return [cell if isinstance(cell, str) else _number(cell) for cell in row]


def _number(value: float) -> str:
    return (
        f"{value:,.0f}"
        if abs(value) >= 100
        else f"{value:.1f}"
        if abs(value) >= 20
        else f"{value:.3f}"
        if abs(value) < 1
        else f"{value:.2f}"
    )
