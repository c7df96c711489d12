"""Servers on this machine keep clear of each other, and one that dies is replaced before anybody is told that
the cluster is up."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.process.child_process import Server
from runners.local_flink import keep_up
from runners.programs import run
from tests.support.events import ROOT

PROCESSES, PORTS = 6, 100
ASKS_FOR_PORTS = (
    "from pipeline.process.child_process import free_port; print(*(free_port() for _ in "
    f"range({PORTS})), flush=True); input()"
)
DIES_ONCE = 'test -e "$0" && echo up && exec sleep 1000; touch "$0"; echo no port for me; exit 3'


def test_no_port_is_given_to_two_processes() -> None:
    """By chance alone, of 600 out of 12,000 about 12 would be."""
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASKS_FOR_PORTS],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    given = [port for process in asking if process.stdout for port in process.stdout.readline().split()]
    for process in asking:
        process.communicate("\n")
    assert len(given) == len(set(given)) == PROCESSES * PORTS


@pytest.mark.parametrize("option", ["--port", "--workers-port", "--metrics-port"])
def test_a_flink_of_ours_takes_no_port_of_somebody_else(option: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        ports = {"--port": "0", "--workers-port": "0", "--metrics-port": "0", option: port}
        done = run(
            "runners.local_flink",
            "--folder",
            str(tmp_path),
            *(word for pair in ports.items() for word in pair),
        )
    line = f"local_flink: {option}: somebody listens on {port} already; name another one\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_a_server_that_dies_at_its_start_is_replaced_before_the_cluster_is_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, stop = tmp_path / "log", threading.Event()
    server = Server("the JobManager", ["sh", "-c", DIES_ONCE, str(tmp_path / "died")], 0, log)

    def is_up() -> bool:
        if "up" in log.read_text():
            stop.set()
        return stop.is_set()

    server.start()
    try:
        keep_up([server], stop, is_up, "Flink is up")
    finally:
        server.stop()
    assert capsys.readouterr().out.splitlines() == [
        f"the JobManager died; starting another; it said last: no port for me (all of it: {log})",
        "Flink is up",
    ]
