"""A command of this project as a child process, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from pipeline.process.child_process import die_with_parent

ROOT = Path(__file__).parent.parent
SHIPPED_MODELS = ROOT / "pipeline" / "models.yaml"
_PATIENCE_S = 120


class Program:
    """`python -m` something, from the checkout at `root`; all that it says is kept in `lines`. Stopped with
    SIGTERM at the latest with its context."""

    def __init__(self, *arguments: str, root: Path = ROOT) -> None:
        self._arguments, self._root = arguments, root
        self.lines: list[str] = []
        self._said = threading.Condition()

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", *self._arguments],
            cwd=self._root,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a Ctrl-C is for the one who started it, who stops things in their order
            preexec_fn=die_with_parent,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Returns the match of the first line that matches. Raises RuntimeError, with what the program said,
        when it ends first or takes more than two minutes."""
        found: list[re.Match[str]] = []

        def is_said() -> bool:
            found.extend(match for line in self.lines if (match := re.search(pattern, line)))
            return bool(found) or self.process.poll() is not None

        with self._said:
            self._said.wait_for(is_said, _PATIENCE_S)
        if not found:
            raise RuntimeError(
                f"{' '.join(self._arguments[:2])} never said {pattern!r}; it said:\n"
                + "".join(self.lines[-20:])
            )
        return found[0]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends the program, if it still runs; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._said:
                self.lines.append(line)
                self._said.notify_all()
        self.process.wait()
        with self._said:
            self._said.notify_all()


class SimulatedLiftWingProgram(Program):
    """The simulated Lift Wing as a process of its own, at `url`."""

    def __init__(self, *options: str) -> None:
        super().__init__("runners.simulated_lift_wing", "--port", "0", *options)

    def __enter__(self) -> Self:
        super().__enter__()
        self.url = self.wait_for(r"on (http\S+)")[1]
        return self


class LocalFlinkProgram(Program):
    """A Flink cluster as processes of their own: the JobManager at `address`, the Python workers at
    `workers`. Its files are below `folder`. It has no metrics unless an option says where, so that several
    can run side by side."""

    def __init__(self, folder: Path, *options: str) -> None:
        ports = ["--port", "0", "--workers-port", "0", "--metrics-port", "0"]
        super().__init__("runners.local_flink", "--folder", str(folder), *ports, *options)

    def __enter__(self) -> Self:
        super().__enter__()
        found = self.wait_for(r"^Flink at (\S+), Python workers at (\S+);")
        self.address, self.workers = found[1], found[2]
        return self


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of this project to its end."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
