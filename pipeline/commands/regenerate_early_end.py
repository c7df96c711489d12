"""What `regenerate` says when a run ends before it is done: by a signal, or an error outside this program."""

from __future__ import annotations

import errno
import logging
import re
import signal
import sys

from pipeline.flink.causes import root_cause
from transforms.worker.fuse import FuseBlownError


def raise_on_signals() -> list[int]:
    """Lets SIGTERM end a run as Ctrl-C does. Returns a list that will have the signals that come, as Beam
    passes both on as errors of the step that ran just then."""
    received: list[int] = []

    def stop(number: int, frame: object) -> None:
        received.append(number)
        logging.disable()  # Beam's account of where it was
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return received


def say_why_ended(error: BaseException, signals: list[int], output: str) -> int | None:
    """Says why a run ended, and returns the exit code; for an error of this program says nothing and returns
    None.

    `signals`: those that came; `output`: the address of the datasets.
    """
    if signals:
        print(
            f"stopped; what lies in {output} is whole partitions, and --resume goes on from here",
            file=sys.stderr,
        )
        return 128 + signals[0]
    if why := _why_ended(f"{type(error).__name__}: {error}", output):
        print(f"{why}, and --resume goes on from here", file=sys.stderr)
        return 1
    return None


def _why_ended(error: str, output: str) -> str | None:
    """Returns what is to be said of an error that is none of this program, which a runner tells in words of
    its own; None for another."""
    if f"[Errno {errno.ENOSPC}]" in error:
        return f"the disk of {output} is full; make room"
    if blown := re.search(rf"{FuseBlownError.__name__}\W+(.*)", error):
        return f"stopped: {blown[1]}; what was answered stays"
    if failed := re.search(
        r"\b(?:OS|Permission|FileNotFound|Timeout|Connection)Error: (.+?)(?: \[while running.*)?$",
        error,
        re.MULTILINE,
    ):
        return f"stopped: {failed[1]}; what was answered stays"
    if job := re.search(r"failed in state \w+: (.*)", error, re.DOTALL):
        return f"stopped: Flink's job failed ({root_cause(job[1])}); what was answered stays"
    return None
