"""Starts the PyFlink job in an environment of its own, because its Beam is another; makes that environment
the first time.

python -m tests.benchmarks.peers.run_pyflink --kafka ... (see pyflink_job.py)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE / "target"
PYTHON = TARGET / "venv" / "bin" / "python"
CONNECTOR = TARGET / "flink-sql-connector-kafka-3.2.0-1.19.jar"
PACKAGES = ["apache-flink==1.19.3", "requests", "orjson", "setuptools<80"]


def build() -> None:
    """The environment and Flink's Kafka connector, unless they are there. Needs Python 3.11 at most, and
    Maven."""
    if not CONNECTOR.exists():
        TARGET.mkdir(exist_ok=True)
        shutil.rmtree(PYTHON.parents[1], ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(PYTHON.parents[1])], check=True)
        subprocess.run(
            [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
            check=True,
        )
        coordinates = "org.apache.flink:flink-sql-connector-kafka:3.2.0-1.19"
        copy = [
            "mvn",
            "--quiet",
            "--batch-mode",
            "-Dstyle.color=never",
            "dependency:copy",
            f"-Dartifact={coordinates}",
            f"-DoutputDirectory={TARGET}",
        ]
        subprocess.run(copy, check=True)


def main() -> None:
    build()
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
    }
    os.execve(
        PYTHON,
        [str(PYTHON), str(HERE / "pyflink_job.py"), "--connector", str(CONNECTOR), *sys.argv[1:]],
        environment,
    )


if __name__ == "__main__":
    main()
