"""One run at a time in a folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.wrong_use import WrongUse


@contextmanager
def alone_in(folder: Path, otherwise: str) -> Iterator[None]:
    """Raises WrongUse with what is to be said `otherwise`, when another process is in the folder. A process that is killed is out of it."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WrongUse(otherwise) from error
        yield
