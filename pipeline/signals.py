"""How a command that runs until it is told to stop is told."""

from __future__ import annotations

import signal
import threading


def stop_on_signals() -> threading.Event:
    """Is set by SIGTERM or Ctrl-C from now on."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
