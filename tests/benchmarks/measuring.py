"""A command as a process of its own with what it used, and tables of such figures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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
            sampled = _Sampled(process.pid)
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
    return Used(seconds, max(sampled.cpu_s, usage.ru_utime + usage.ru_stime), sampled.peak_mb, told)


class _Sampled:
    """What a process and all below it used, as far as it was seen: a process of Spark's that nobody waits for
    is in no other account, and what the account says of memory begins with that of this process."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._cpu_s: dict[int, float] = {}
        self.peak_mb = 0.0

    @property
    def cpu_s(self) -> float:
        return sum(self._cpu_s.values())

    def look(self) -> None:
        with suppress(psutil.Error):
            for each in [self._process, *self._process.children(recursive=True)]:
                with suppress(psutil.Error, FileNotFoundError, ProcessLookupError):
                    self._cpu_s[each.pid] = sum(each.cpu_times()[:2])
                    self.peak_mb = max(self.peak_mb, _peak_mb(each.pid))


def _peak_mb(pid: int) -> float:
    """The most memory that a process had since it began its program; 0 when it is over."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    told = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(told[1]) / 1024 if told else 0.0


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
