"""Ctrl-C is one line, whenever it comes: here while a command loads its modules, at one of the imports after
the other."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.events import ROOT

# Presses Ctrl-C when so many modules have been loaded since the program began.
PRESSED = """
import os, runpy, signal, sys

class Presser:
    left = {left}
    def find_spec(self, name, path=None, target=None):
        Presser.left -= 1
        if Presser.left == 0:
            os.kill(os.getpid(), signal.SIGINT)

def armed(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "end_in_one_line":
        sys.setprofile(None)
        sys.meta_path.insert(0, Presser())

sys.argv = ["-m", *sys.argv[1:]]
sys.orig_argv = ["python", "-m", *sys.argv[1:]]
sys.setprofile(armed)
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
COMMANDS = {
    "revision-scores stream": ["pipeline", "stream", "--kafka", "127.0.0.1:1"],
    "revision-scores watch": ["pipeline", "watch", "--kafka", "127.0.0.1:1", "--port", "0"],
    "revision-scores models": ["pipeline", "models"],
    "revision-scores demo": ["pipeline", "demo", "--output", "/proc/nowhere"],
    "runners.local_kafka": ["runners.local_kafka", "--folder", "/proc/nowhere"],
    "runners.played_edits": ["runners.played_edits", "--kafka", "127.0.0.1:1"],
}


def pressed(left: int, *program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRESSED.format(left=left), *program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("left", [2, 30, 120])
def test_ctrl_c_while_a_command_is_loaded_is_one_line(name: str, left: int) -> None:
    done = pressed(left, *COMMANDS[name])
    assert (done.stdout, done.stderr, done.returncode) == ("", f"{name}: stopped\n", -signal.SIGINT)
