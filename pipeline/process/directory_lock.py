"""One run at a time in a folder or a dataset."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.process.lease import LEASE, leased
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.storage_paths import address_of, clear, files_under, os_reason, remove_empty


@contextmanager
def locked(folder: Path, otherwise: str) -> Iterator[None]:
    """Holds the lock of a folder while the context is open. Raises UsageError with the message `otherwise`
    when another process holds it; one that is killed holds it no more."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(otherwise) from error
        yield


@contextmanager
def locked_dataset(writer: DatasetWriter, option: str) -> Iterator[None]:
    """Keeps others from writing to a dataset while the context is open. Raises UsageError when one does, or
    when nothing can be written there; `option` begins its message, such as "--output: "."""
    root, working = address_of(writer.root), writer.working
    try:
        working.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option}{root} cannot be written to: {os_reason(error)}") from error
    otherwise = f"{option}another run writes to {root}; wait for it, or stop it"
    with locked(working, otherwise) if isinstance(working, Path) else leased(working, otherwise):
        yield
        if not any(files_under(working / "journals")):  # no run of regenerate has to go on there
            clear(working, but=LEASE)
    remove_empty(working)
