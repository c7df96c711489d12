"""The savepoints and checkpoints of a job's earlier runs, as Flink leaves them below a folder."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# of Flink's _metadata: what it is, its format, and the number of the checkpoint
_HEADER = struct.Struct(">iiq")
_MAGIC = 0x4960672D


class Snapshot(NamedTuple):
    # Flink's; a job that goes on from a snapshot counts on from its number, whatever the clocks say
    """A savepoint or checkpoint that is complete."""

    number: int
    folder: Path


class Snapshots:
    """`checkpoints` has a folder for each run with its last checkpoints, `savepoints` one for each
    savepoint."""

    def __init__(self, folder: Path) -> None:
        self.checkpoints, self.savepoints = folder / "checkpoints", folder / "savepoints"
        self._failed: dict[Path, str] = {}

    def newest(self) -> Path | None:
        """Returns the newest one that has not failed yet; None when there is none."""
        left = [snapshot for snapshot in self._complete() if snapshot.folder not in self._failed]
        return max(left).folder if left else None

    def exist(self) -> bool:
        """Returns whether there are any, restorable or not."""
        return any(True for _ in self._metadata())

    def mark_failed(self, folder: Path, why: str) -> None:
        """Passes over a snapshot that cannot be restored from now on, and leaves it where it is."""
        self._failed[folder] = why

    def failed(self) -> dict[Path, str]:
        """Returns the snapshots that could not be restored, and why; also those whose file is none of
        Flink's."""
        return self._failed | {
            file.parent: "it is no snapshot of Flink's" for file in self._metadata() if _number(file) is None
        }

    def forget_failures(self) -> None:
        """Has newest() return the newest again, whatever failed."""
        self._failed.clear()

    def remove_all_but(self, run: str) -> list[OSError]:
        """Removes the snapshots of all runs but one, which has a checkpoint of its own now. Returns why some
        could not be removed."""
        problems: list[OSError] = []
        for folder in (self.checkpoints, self.savepoints):
            for other in folder.iterdir() if folder.is_dir() else ():
                if other.name != run:
                    try:
                        shutil.rmtree(other)
                    except OSError as error:
                        problems.append(error)
        return problems

    def _complete(self) -> Iterator[Snapshot]:
        for file in self._metadata():
            number = _number(file)
            if number is not None:
                yield Snapshot(number, file.parent)

    def _metadata(self) -> Iterator[Path]:
        yield from self.checkpoints.glob("*/chk-*/_metadata")
        yield from self.savepoints.glob("*/_metadata")


def _number(file: Path) -> int | None:
    """Returns the number of a checkpoint; None where the file is no snapshot of Flink's."""
    try:
        with file.open("rb") as opened:
            magic, _, number = _HEADER.unpack(opened.read(_HEADER.size))
    except (OSError, struct.error):
        return None
    return int(number) if magic == _MAGIC else None
