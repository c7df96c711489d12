"""Snapshots of Flink in a folder."""

from __future__ import annotations

import os
import struct
from pathlib import Path


def snapshot(folder: Path, number: int, age: int = 0, complete: bool = True) -> Path:
    """A snapshot with the beginning that Flink writes."""
    folder.mkdir(parents=True)
    file = folder / ("_metadata" if complete else "some-state")
    file.write_bytes(struct.pack(">iiq", 0x4960672D, 4, number))
    os.utime(file, (2_000_000_000 - age, 2_000_000_000 - age))
    return folder
