"""A program as a whole process: how long it took, the CPU it used and the most memory it held."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runners.programs import ROOT


@dataclass(frozen=True)
class Measured:
    wall_s: float
    cpu_s: float
    peak_mb: float
    said: str


def measured(*arguments: str) -> Measured:
    """Runs `python ARGUMENTS` to its end. Raises RuntimeError, with what it said, when it fails."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{said}")
    return Measured(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows, the first of them the header, in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))))
    print(flush=True)


def models_file(folder: Path, in_flight: int) -> Path:
    """The shipped models file with one limit for all calls together, and none for an endpoint below it."""
    file = folder / "models.yaml"
    lines = (ROOT / "pipeline" / "models.yaml").read_text(encoding="utf-8").splitlines()
    wide = [_with_limit(line, in_flight) for line in lines]
    file.write_text("\n".join(wide) + "\n", encoding="utf-8")
    return file


def _with_limit(line: str, limit: int) -> str:
    if line.startswith("#"):
        return line
    for key in ("concurrency: ", "in_flight: "):
        before, found, after = line.partition(key)
        if found:
            digits = len(after) - len(after.lstrip("0123456789"))
            return f"{before}{key}{limit}{after[digits:]}"
    return line
