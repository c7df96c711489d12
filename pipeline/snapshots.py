"""Where a job goes on: the savepoints and checkpoints of its earlier runs, as Flink leaves them below a folder."""

from __future__ import annotations

import shutil
from pathlib import Path


class Snapshots:
    """`checkpoints` has a folder for each run with its last checkpoint, `savepoints` one for each savepoint."""

    def __init__(self, folder: Path) -> None:
        self.checkpoints, self.savepoints = folder / "checkpoints", folder / "savepoints"

    def newest(self) -> Path | None:
        """The newest complete savepoint or checkpoint; None when there is none."""
        complete = sorted((*self.checkpoints.glob("*/chk-*/_metadata"), *self.savepoints.glob("*/_metadata")), key=lambda file: file.stat().st_mtime_ns)
        return complete[-1].parent if complete else None

    def forget_older(self) -> None:
        """Removes all but the newest and, where that is a checkpoint, what else its run has: its checkpoints share files."""
        newest = self.newest()
        if newest is None:
            return
        kept = newest if newest.parent == self.savepoints else newest.parent
        for folder in (self.checkpoints, self.savepoints):
            for other in folder.iterdir() if folder.is_dir() else ():
                if other != kept:
                    shutil.rmtree(other)
