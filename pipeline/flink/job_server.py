"""The servers of stream mode: Beam's job server with Flink embedded in it or a cluster behind it, and the
Python workers that Flink asks for."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

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
    """The jar that `make build` leaves. Raises FileNotFoundError."""
    if not JAR.is_file():
        raise FileNotFoundError(f"no Flink job server in {JAR}; build it: make build")
    return JAR


@cache
def flink_version() -> str:
    """Of the Flink in the jar, whose list of contents is long. Raises FileNotFoundError for one that is not
    there or not whole."""
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


class OfTheJar(Server):
    """A main class of the fat jar, with `memory_mb` of heap and more `jvm_options`. What Flink keeps on disk
    while it runs goes to a folder beside its log."""

    def __init__(
        self,
        name: str,
        memory_mb: int,
        main: Sequence[str],
        port: int,
        log: Path,
        jvm_options: Sequence[str] = (),
    ) -> None:
        jar = find_jar()
        self._temporary = log.with_suffix(".tmp")
        super().__init__(
            name,
            [
                find_java(),
                f"-Xmx{memory_mb}m",
                f"-Djava.io.tmpdir={self._temporary}",
                *_JVM_OPTIONS,
                *jvm_options,
                "-cp",
                str(jar),
                *main,
            ],
            port,
            log,
        )

    def start(self) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)  # Flink leaves what it had there when it is killed
        self._temporary.mkdir(parents=True)
        super().start()


class JobServer(OfTheJar):
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
        super().__init__("the Flink job server", 1024, main + where, port, folder / "flink.log")


class WorkerPool(Server):
    """Starts a new Python process for each attempt of the job, as on a cluster: what a process remembers is
    of its attempt alone."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        port = port or free_port()
        python = Path(sys.executable)
        command = [str(python), "-m", "pipeline.flink.worker_pool", f"--port={port}"]
        # The pool starts "python", whichever comes first, and the worker must find this package.
        environment = {
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(JAR.parents[3]), *sys.path]),
        }
        super().__init__("the Python worker pool", command, port, folder / "worker.log", environment)
