"""A server as a child process: started, awaited, and stopped with its parent, however that ends."""

from __future__ import annotations

import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from pipeline.process.signals import end_if_told_to_stop

_SUPPORTED = (11, 17)
_PATIENCE_S = 60
_LONGEST_END = 4_096  # bytes of a log

_claims: deque[socket.socket] = deque(maxlen=100)  # older ones have their servers by now


class ServerError(RuntimeError):
    """No Java, the wrong one, or a server that does not start; the message says what to do."""


def find_java() -> str:
    """Returns the `java` on the PATH. Raises ServerError unless it is a version that Flink 1.19 runs on."""
    java = shutil.which("java")
    if not java:
        raise ServerError(
            "java is not on the PATH; install a JDK 11 or 17, for instance: apt-get install "
            "openjdk-17-jdk-headless"
        )
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if not version or int(version[1]) not in _SUPPORTED:
        raise ServerError(
            f"{java} is {told.splitlines()[0] if told else 'of an unknown version'}; Flink 1.19 needs a "
            "JDK 11 or 17: put one first on the PATH"
        )
    return java


def free_port(wished: int = 0) -> int:
    """Returns a TCP port that nobody listens on now, the one that is wished for if it is free. Another is
    outside Linux' range of ephemeral ports, and no other process that asks here gets it, so that it stays
    free until a server listens. Raises ServerError."""
    if wished and _is_free(wished):
        return wished
    for port in random.sample(range(20_000, 32_000), 100):
        if _is_free(port) and _claim(port):
            return port
    raise ServerError("of 100 ports between 20000 and 32000 none is free")


def check_free(option: str, port: int) -> None:
    """Raises ServerError where somebody listens on the port of an option; 0 is any free one."""
    if port and not _is_free(port):
        raise ServerError(f"{option}: somebody listens on {port} already; name another one")


def _is_free(port: int) -> bool:
    with socket.socket() as listener, suppress(OSError):
        # what a server that is gone has left there is nobody who listens
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        return True
    return False


def _claim(port: int) -> bool:
    """Binds the UDP port of that number until this process ends. Returns whether nobody else has it."""
    token = socket.socket(type=socket.SOCK_DGRAM)
    try:
        token.bind(("127.0.0.1", port))
    except OSError:
        token.close()
        return False
    _claims.append(token)
    return True


class Server:
    """A command that listens on a port of this machine; its output goes to the end of `log`.

    `environment`: variables that it has beside those of this process.
    """

    def __init__(self, name: str, command: Sequence[str], port: int, log: Path) -> None:
        self.name, self.log = name, log
        self.address = f"127.0.0.1:{port}"
        self.environment: Mapping[str, str] = {}
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process, which ends with this one."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for the parent, which stops things in their order
                preexec_fn=die_with_parent,
            )

    def wait(self) -> None:
        """Returns when the port accepts connections. Raises ServerError when the server ends first or takes
        too long, SystemExit when the command is told to stop."""
        assert self._process
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            end_if_told_to_stop()
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(
                    ("127.0.0.1", int(self.address.rpartition(":")[2])), timeout=1
                ).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise ServerError(f"{self.name} did not start; {self.last_output}")

    @property
    def last_output(self) -> str:
        """The last line of its log, and where the log is."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LONGEST_END))
            last = log.read().decode("utf-8", "replace").strip().splitlines()[-1:] or ["nothing"]
        return f"it said last: {last[0]} (all of it: {self.log})"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ends the process: by SIGTERM, and by SIGKILL when it lives ten seconds later."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._stack.enter_context(started(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


@contextmanager
def started(*servers: Server) -> Iterator[None]:
    """Starts them at the same time, waits for all, and stops them in the opposite order."""
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            server.start()
        for server in servers:
            server.wait()
        yield


def die_with_parent() -> None:
    """Asks Linux to end this process when its parent is killed; for a child between fork and exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
