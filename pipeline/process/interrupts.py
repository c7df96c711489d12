"""What Ctrl-C does to a command that has not said otherwise: it ends with one line, at any moment, while it
still loads its modules too.

Nothing needs to be cleared away then: what a command writes is whole or not there, however the command ends.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress


def end_in_one_line(name: str) -> None:
    """Has Ctrl-C print one line that begins with `name`, and end this process by the signal, as a shell
    expects."""
    signal.signal(signal.SIGINT, lambda *_: _end(name))


def _end(name: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with suppress(Exception):  # it may be in the middle of a write, or closed
        sys.stdout.flush()
    with suppress(OSError):
        os.write(2, f"{name}: stopped\n".encode())
    os.kill(os.getpid(), signal.SIGINT)
