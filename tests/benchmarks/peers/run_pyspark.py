"""Starts a PySpark script of this folder in an environment of its own; makes that environment the first time.

python -m tests.benchmarks.peers.run_pyspark batch_pyspark.py --rules ... (see batch_by_hand.py)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VENV = HERE / "target" / "venv-pyspark"
PYTHON = VENV / "bin" / "python"
PACKAGES = ["pyspark==3.5.7", "pandas<3", "pyarrow>=16,<20", "numpy<2", "requests", "orjson", "setuptools<80"]


def build() -> None:
    """The environment, unless it is there."""
    complete = VENV / ".complete"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        subprocess.run(
            [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
            check=True,
        )
        complete.touch()


def command(script: str, *arguments: str) -> list[str]:
    """The command that runs a script of this folder."""
    return [sys.executable, "-m", "tests.benchmarks.peers.run_pyspark", script, *arguments]


def answers(script: str, *arguments: str) -> list[Any]:
    """What a script says in lines of JSON that begin with "answer". Raises RuntimeError when it fails."""
    done = subprocess.run(
        command(script, *arguments), cwd=HERE.parents[2], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("answer ")]
    if done.returncode or not lines:
        raise RuntimeError(f"{script} said:\n{done.stdout}{done.stderr}")
    return [json.loads(line.removeprefix("answer ")) for line in lines]


def run(script: Path, arguments: list[str]) -> None:
    """Becomes the script."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "PYSPARK_PYTHON": str(PYTHON),
        "PYSPARK_DRIVER_PYTHON": str(PYTHON),
    }
    os.execve(PYTHON, [str(PYTHON), str(script), *arguments], environment)


if __name__ == "__main__":
    build()
    run(HERE / sys.argv[1], sys.argv[2:])
