"""The commands of a document, and a shell that runs them one after another as a reader would type them."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from typing_extensions import Self

from tests.support.events import ROOT

PATIENCE_S = 120
NOT_HERE = ("docker ", "kubectl ", "make ", "git ")  # what needs a machine, a cluster or another checkout


def commands(page: Path) -> list[str]:
    """Each command in the shell blocks of a page, without comments, whether or not it can be run here."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = (line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines())
    return [command for line in lines if (command := re.sub(r"(^|\s)#.*$", "", line).strip())]


class Shell:
    """A bash in a folder that looks like a checkout after `make build`. All that it starts ends with its
    context."""

    def __init__(self, folder: Path, other_words: Mapping[str, str]) -> None:
        self._other_words = other_words
        for name in ("runners", "pipeline"):
            shutil.copytree(
                ROOT / name,
                folder / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("target", "__pycache__"),
            )
        (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
        for built in ("flink", "kafka", "hdfs"):
            (folder / "runners" / built / "target").symlink_to(ROOT / "runners" / built / "target")
        self._folder = folder
        self.lines: list[str] = []
        self._said: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=self._folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()
        with suppress(ProcessLookupError):  # nothing is left
            os.killpg(self._process.pid, signal.SIGKILL)

    def run(self, command: str) -> tuple[int, list[str]]:
        """Its exit code and what was said meanwhile. One that goes to the background is waited for until it
        says more than that it begins."""
        for word, other in self._other_words.items():
            command = command.replace(word, other)
        assert self._process.stdin
        self._process.stdin.write(f"{command}\necho ended with $?\n")
        self._process.stdin.flush()
        said = list(self._until_ended())
        code = int(said.pop().rpartition(" ")[2])
        if command.endswith("&"):
            said.append(self._said.get(timeout=PATIENCE_S))
            while said[-1].startswith(("starting ", "handing the job to ")):
                said.append(self._said.get(timeout=PATIENCE_S))
        return code, said

    def _until_ended(self) -> Iterator[str]:
        line = ""
        while not line.startswith("ended with "):
            line = self._said.get(timeout=PATIENCE_S)
            yield line

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._said.put(line.rstrip("\n"))
