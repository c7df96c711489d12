"""Files and folders that are still there, whole, after the machine stopped: written, flushed to the disk,
then renamed into place."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Flushes a file or a folder to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Writes a file and flushes it to the disk. Raises OSError."""
    path.write_bytes(content)
    sync(path)


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, in place of the one that is there. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    write_file(new, content)
    new.replace(path)
    sync(path.parent)
