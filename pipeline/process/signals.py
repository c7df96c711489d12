"""How a command that runs until it is told to stop is told."""

from __future__ import annotations

import signal
import sys
import threading

_STOP = threading.Event()  # one for the process, as its signals are


def stop_on_signals() -> threading.Event:
    """Is set by SIGTERM or Ctrl-C from now on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _STOP.set())
    return _STOP


def end_if_told_to_stop() -> None:
    """For whoever waits for something to start: raises SystemExit, with one line, when the command has been
    told to stop meanwhile."""
    if _STOP.is_set():
        print("stopped before it was up", file=sys.stderr, flush=True)
        raise SystemExit(0)
