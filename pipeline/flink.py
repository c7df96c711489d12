"""The servers of stream mode: Beam's job server with Flink embedded in it, the Python workers it asks for, and the expansion service that
knows KafkaIO."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from pipeline.servers import Server, find_java, free_port

JAR = Path(__file__).parent.parent / "runners" / "flink" / "target" / "flink-job-server.jar"

_OPENS = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.lang", "java.lang.invoke", "java.nio", "java.time", "java.util", "sun.nio.ch")]


class _OfTheJar(Server):
    def __init__(self, name: str, memory: str, main: list[str], port: int, log: Path) -> None:
        if not JAR.is_file():
            raise FileNotFoundError(f"no Flink job server in {JAR}; build it: make build")
        temporary = log.with_suffix(".tmp")  # Flink leaves what it had there when it is killed
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        super().__init__(name, [find_java(), f"-Xmx{memory}", f"-Djava.io.tmpdir={temporary}", *_OPENS, "-cp", str(JAR), *main], port, log)


class JobServer(_OfTheJar):
    """Takes jobs and runs them on a Flink inside its own process, which goes on from the last checkpoint below `folder`. Logs to `folder`."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        checkpoints, settings = folder / "checkpoints", folder / "flink"
        settings.mkdir(exist_ok=True)
        # By a file, because an embedded Flink passes over Beam's --savepoint_path.
        (settings / "config.yaml").write_text("\n".join(_settings(checkpoints)) + "\n", encoding="utf-8")
        main = ["org.apache.beam.runners.flink.FlinkJobServerDriver", "--job-host=127.0.0.1", f"--job-port={port}", "--artifact-port=0", "--expansion-port=0"]
        where = ["--flink-master=[local]", f"--flink-conf-dir={settings}", f"--artifacts-dir={folder / 'flink.tmp' / 'artifacts'}"]
        super().__init__("the Flink job server", "1g", main + where, port, folder / "flink.log")


def _settings(checkpoints: Path) -> list[str]:
    settings = [
        "state.backend.type: hashmap",
        "execution.buffer-timeout.interval: 5 ms",  # between the two stages; of the default 100 ms an event waits half
        f"state.checkpoints.dir: {checkpoints.as_uri()}",
        "execution.checkpointing.externalized-checkpoint-retention: RETAIN_ON_CANCELLATION",
    ]
    if last := _last_checkpoint(checkpoints):
        _forget_runs_before(last.parent)
        settings.append(f"execution.savepoint.path: {last.as_uri()}")
    return settings


def _last_checkpoint(checkpoints: Path) -> Path | None:
    """The newest complete checkpoint below `checkpoints`, which has a folder for each run; None when there is none."""
    complete = sorted(checkpoints.glob("*/chk-*/_metadata"), key=lambda file: file.stat().st_mtime)
    return complete[-1].parent if complete else None


def _forget_runs_before(run: Path) -> None:
    """A run needs nothing of the one before it once it has a checkpoint of its own."""
    for other in run.parent.iterdir():
        if other != run:
            shutil.rmtree(other)


class ExpansionService(_OfTheJar):
    """Tells Beam what KafkaIO consists of. Its transforms run inside Flink (EMBEDDED; the default wants Docker), and nothing is staged for
    them, as Flink has the same jar."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        nothing = folder / "nothing-to-stage"
        nothing.touch()
        main = ["org.apache.beam.sdk.expansion.service.ExpansionService", str(port)]
        settings = ["--defaultEnvironmentType=EMBEDDED", "--experiments=use_deprecated_read", f"--filesToStage={nothing}"]
        super().__init__("the expansion service", "256m", [*main, *settings], port, folder / "expansion-service.log")


class WorkerPool(Server):
    """Starts a new Python process for each attempt of the job, as on a cluster: what a process remembers is of its attempt alone."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        python = Path(sys.executable)
        command = [str(python), "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
        # The pool starts "python", whichever comes first, and the worker must find this package.
        environment = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join([str(JAR.parents[3]), *sys.path])}
        super().__init__("the Python worker pool", command, port, folder / "worker.log", environment)
