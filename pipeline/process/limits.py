"""What a command's process may have: open files, and memory that nothing uses."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
from contextlib import suppress

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of glibc's malloc.h
_HEAPS, _LARGE_BYTES = 2, 128 << 10


def allow_many_sockets() -> None:
    """Raises the limit of open files: a call in flight is a socket, and many systems begin with 1,024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def give_memory_back() -> None:
    """Has memory that is free go back to the system: threads share two of glibc's heaps, where each would get
    one of its own; what is large never lies in a heap; Arrow keeps none for itself. Counts when it is called
    before threads are started and pyarrow is imported."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    with suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, _HEAPS)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def release_memory() -> None:
    """Gives back what only circles of objects hold, and what is free in glibc's heaps."""
    gc.collect()
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
