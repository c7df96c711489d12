"""How much room a disk has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_NEEDED_BYTES = 100_000_000  # for logs, what is staged, and the first checkpoints
_NEARLY_FULL, _PLENTY_BYTES = 0.05, 2_000_000_000


@dataclass(frozen=True)
class Room:
    """What is left for us of the disk that has `folder`."""

    folder: Path
    free_bytes: int
    bytes: int
    free_inodes: int
    inodes: int  # 0 where the file system has no fixed number of them

    @property
    def is_too_small(self) -> bool:
        """Whether nothing should be begun there."""
        return self.free_bytes < _NEEDED_BYTES or (self.inodes > 0 and self.free_inodes < 1_000)

    @property
    def is_nearly_full(self) -> bool:
        """Whether somebody should look: a twentieth is left, and that is not much."""
        few_bytes = self.free_bytes < min(_NEARLY_FULL * self.bytes, _PLENTY_BYTES) or self.is_too_small
        return few_bytes or self.has_few_inodes

    @property
    def has_few_inodes(self) -> bool:
        return self.inodes > 0 and self.free_inodes < _NEARLY_FULL * self.inodes

    def __str__(self) -> str:
        of_inodes = f" and {self.free_inodes:,} of {self.inodes:,} inodes" if self.has_few_inodes else ""
        return f"{_size(self.free_bytes)} of {_size(self.bytes)}{of_inodes} are free at {self.folder}"


def room_at(folder: Path) -> Room:
    """Returns the room at a folder, or at the nearest above it that exists. Raises OSError."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    found = os.statvfs(there)
    return Room(
        folder,
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        found.f_favail,
        found.f_files,
    )


def room_if_known(folder: Path) -> Room | None:
    """Returns the same; None where the disk does not tell."""
    try:
        return room_at(folder)
    except OSError:
        return None


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
