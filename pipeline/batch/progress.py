"""How far a batch run is: a line that is written over on a terminal, else a line a minute. Told by the
journals, whoever writes them."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TextIO

from typing_extensions import Self

from pipeline.console.terminal import steering
from transforms.datasets.filesystem import open_file
from transforms.datasets.journal import is_of_failure
from transforms.datasets.storage_paths import Place, address_of, files_under

_ON_TERMINAL_S, _ELSEWHERE_S = 0.5, 60.0
_ASKED_S = 10.0  # where the journals lie on other machines


class Progress:
    """Tells of the journals below `folder` while its context is open. `partitions`: how many there are to do
    in all; 0: nobody knows."""

    def __init__(
        self, folder: Place, partitions: int, out: TextIO | None = None, every_s: float | None = None
    ) -> None:
        self.done = 0  # partitions
        self._folder, self._partitions, self._out = folder, partitions, steering(out or sys.stdout)
        self._terminal = self._out.isatty()
        at_hand = _ON_TERMINAL_S if isinstance(folder, Path) else _ASKED_S
        self._every_s = every_s or (at_hand if self._terminal else _ELSEWHERE_S)
        self._read: dict[str, int] = {}  # bytes of each journal file
        self._scores: Counter[str] = Counter()  # by model
        self._failures: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tell_until_stopped, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._count()  # what another run left is no progress of this one
        self._scores.clear()
        self._failures.clear()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def line(self) -> str:
        """Returns a line such as: 12,345 scores (damaging 6,000, goodfaith 6,345), 3 failures, 812/s; 12 of
        240 partitions, 0:42:10 left. Raises OSError."""
        self._count()
        seconds = time.monotonic() - self._began
        of_models = ", ".join(f"{model} {count:,}" for model, count in sorted(self._scores.items()))
        failures = self._failures.total()
        text = f"{self._scores.total():,} scores" + (
            f" ({of_models})" if of_models and not self._terminal else ""
        )
        text += f", {failures:,} failures, {(self._scores.total() + failures) / max(seconds, 0.001):,.0f}/s"
        if self._partitions:
            text += f"; {self.done} of {self._partitions} partitions"
        if 0 < self.done < self._partitions:
            text += f", {timedelta(seconds=round(seconds / self.done * (self._partitions - self.done)))} left"
        return text

    def _tell_until_stopped(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                line = self.line()
            except OSError:  # the run itself says what cannot be read
                continue
            self._out.write(f"\r{line}\x1b[K" if self._terminal else f"{line}\n")
            self._out.flush()

    def _count(self) -> None:
        for path in files_under(self._folder):
            with suppress(FileNotFoundError):  # it has become a partition
                self._count_in(address_of(path), path.parent.name)

    def _count_in(self, file: str, model: str) -> None:
        read, lines, failures = self._read.get(file, 0), 0, 0
        with open_file(file) as journal:
            journal.seek(read)
            for line in journal:
                if line.endswith(b"\n"):
                    read, lines, failures = read + len(line), lines + 1, failures + is_of_failure(line)
        self._read[file] = read
        self._scores += Counter({model: lines - failures})
        self._failures += Counter({model: failures})
