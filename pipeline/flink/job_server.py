"""The servers of stream mode: Beam's job server, with Flink embedded in it or a cluster behind it, and the
pool of Python workers."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pipeline.flink import settings as flink_settings
from pipeline.process.child_process import Server, find_java, free_port

JAR = Path(__file__).parents[2] / "runners" / "flink" / "target" / "flink-job-server.jar"

_VERSION_FILE = ".flink-runtime.version.properties"

_JVM_OPTIONS = [
    "-XX:+ExitOnOutOfMemoryError",  # a process that is dead is replaced, one that is half dead is not
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.log.org.apache.flink.runtime.checkpoint=warn",  # else two lines for each
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in ("java.lang", "java.lang.invoke", "java.nio", "java.time", "java.util", "sun.nio.ch")
    ),
]


def find_jar() -> Path:
    """Returns the jar that `make build` leaves. Raises FileNotFoundError."""
    if not JAR.is_file():
        raise FileNotFoundError(f"no Flink job server in {JAR}; build it: make build")
    return JAR


@cache
def flink_version() -> str:
    """Returns the version of the Flink in the jar; cached, as the jar's list of contents is long. Raises
    FileNotFoundError for a jar that is missing or cut."""
    try:
        with zipfile.ZipFile(find_jar()) as jar:
            lines = jar.read(_VERSION_FILE).decode().splitlines()
        return next(
            line.removeprefix("project.version=") for line in lines if line.startswith("project.version=")
        )
    except (zipfile.BadZipFile, KeyError) as error:
        raise FileNotFoundError(
            f"no Flink in {JAR} ({error}); remove it and build it again: make build"
        ) from error


class JavaProgram(NamedTuple):
    """A main class of the fat jar with its arguments, and the JVM that runs it."""

    main: Sequence[str]
    heap_mb: int
    jvm_options: Sequence[str] = ()

    def command(self, temporary: Path) -> list[str]:
        """Returns the command line. What Flink keeps on disk while it runs goes to the folder `temporary`.
        Raises ServerError without a Java that fits, FileNotFoundError without the jar."""
        jar = find_jar()
        jvm = [find_java(), f"-Xmx{self.heap_mb}m", f"-Djava.io.tmpdir={temporary}"]
        return [*jvm, *_JVM_OPTIONS, *self.jvm_options, "-cp", str(jar), *self.main]


class JavaServer(Server):
    """A program of the fat jar that listens at `port`. Its log has a folder for temporary files beside it."""

    def __init__(self, name: str, program: JavaProgram, port: int, log: Path) -> None:
        self._temporary = log.with_suffix(".tmp")
        super().__init__(name, program.command(self._temporary), port, log)

    def start(self) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)  # Flink leaves what it had there when it is killed
        self._temporary.mkdir(parents=True)
        super().start()


class JobServer(JavaServer):
    """Takes a job and runs it with the settings in `folder`/flink, on a Flink inside its own process or,
    given `master`, on a cluster. Logs to `folder`."""

    def __init__(self, folder: Path, settings: Mapping[str, str], master: str = "[local]") -> None:
        port = free_port()
        files = flink_settings.write(folder / "flink", settings)
        main = [
            "org.apache.beam.runners.flink.FlinkJobServerDriver",
            "--job-host=127.0.0.1",
            f"--job-port={port}",
            "--artifact-port=0",
            "--expansion-port=0",
        ]
        where = [
            f"--flink-master={master}",
            f"--flink-conf-dir={files}",
            f"--artifacts-dir={folder / 'artifacts'}",
        ]
        program = JavaProgram(main + where, heap_mb=1024)
        super().__init__("the Flink job server", program, port, folder / "flink.log")


class WorkerPool(Server):
    """Starts a new Python process for each attempt of the job, as on a cluster: what a process remembers is
    of its attempt alone."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        port = port or free_port()
        python = Path(sys.executable)
        command = [str(python), "-m", "pipeline.flink.worker_pool", f"--port={port}"]
        super().__init__("the Python worker pool", command, port, folder / "worker.log")
        # The pool starts "python", whichever comes first, and the worker must find this package.
        self.environment = {
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(JAR.parents[3]), *sys.path]),
        }
