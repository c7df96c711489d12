"""The Java servers of stream mode: Beam's job server with Flink embedded in it, and the expansion service that knows KafkaIO."""

from __future__ import annotations

from pathlib import Path

from pipeline.java import JavaServer, free_port

JAR = Path(__file__).parent.parent / "runners" / "flink" / "target" / "flink-job-server.jar"

_OPENS = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.lang", "java.lang.invoke", "java.nio", "java.time", "java.util", "sun.nio.ch")]


class _OfTheJar(JavaServer):
    def __init__(self, name: str, memory: str, main: list[str], port: int, log: Path) -> None:
        if not JAR.is_file():
            raise FileNotFoundError(f"no Flink job server in {JAR}; build it: make build")
        super().__init__(name, [f"-Xmx{memory}", *_OPENS, "-cp", str(JAR)], main, port, log)


class JobServer(_OfTheJar):
    """Takes jobs and runs them on a Flink inside its own process. Logs to `folder`."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        main = ["org.apache.beam.runners.flink.FlinkJobServerDriver", "--job-host=127.0.0.1", f"--job-port={port}", "--artifact-port=0", "--expansion-port=0"]
        super().__init__("the Flink job server", "1g", [*main, "--flink-master=[local]", f"--artifacts-dir={folder / 'artifacts'}"], port, folder / "flink.log")


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
