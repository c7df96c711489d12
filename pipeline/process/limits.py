"""What a command's process may have: open files, and heaps."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress

_M_ARENA_MAX = -8  # of glibc's malloc.h
_HEAPS = 2


def allow_many_sockets() -> None:
    """Raises the limit of open files: a call in flight is a socket, and many systems begin with 1,024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def share_heaps() -> None:
    """Has threads share two of glibc's heaps, where each would get one of its own, of which little goes
    back. Only what is called before threads are started counts."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _HEAPS)
