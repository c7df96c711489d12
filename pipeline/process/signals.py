"""Stops a command that runs until SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading

_STOP = threading.Event()  # one for the process, as its signals are


def stop_on_signals() -> threading.Event:
    """Returns an event that SIGTERM and Ctrl-C set from now on, in place of ending the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _STOP.set())
    return _STOP


def end_if_told_to_stop() -> None:
    """Raises SystemExit, after a line, when the command has been told to stop; for whoever waits for
    something to start."""
    if _STOP.is_set():
        print("stopped before it was up", file=sys.stderr, flush=True)
        raise SystemExit(0)
