"""One run at a time in a folder."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter


@contextmanager
def alone_in(folder: Path, otherwise: str) -> Iterator[None]:
    """Raises UsageError with what is to be said `otherwise`, when another process is in the folder. A process
    that is killed is out of it."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(otherwise) from error
        yield


@contextmanager
def alone_with(writer: DatasetWriter, option: str) -> Iterator[None]:
    """Keeps others from writing to a dataset while the context is open. Raises UsageError when one does, or
    when nothing can be written there."""
    try:
        writer.working.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option}{writer.root} cannot be written to: {error.strerror}") from error
    with alone_in(writer.working, f"{option}another run writes to {writer.root}; wait for it, or stop it"):
        yield
    if not any((writer.working / "journals").rglob("*.jsonl")):  # no run of regenerate has to go on there
        shutil.rmtree(writer.working)
