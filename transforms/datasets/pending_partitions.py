"""Partitions on their way to their place: what a run that is killed leaves of them the next one ends."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from transforms.datasets.durable_files import move, publish, replace_file, sync
from transforms.datasets.manifests import MANIFEST, files_of, parts_told
from transforms.datasets.storage_paths import Place, below, each_at, files_under, remove_tree

_ATTEMPT = "attempt-"
_WRITTEN = "manifest"  # of a partition whose part files may not be


@dataclass(frozen=True)
class PendingPartitions:
    """Brings partitions to their places below `root` by way of `folder`: there each has a folder of who
    brings it, and its manifest once it is whole."""

    root: Place
    folder: Place

    def bring(self, parts: Sequence[Path], manifest: bytes, target: Place) -> None:
        """Puts part files of this machine and their manifest in place of a partition. Raises OSError."""
        attempt = self.folder / f"{_ATTEMPT}{uuid.uuid4()}"
        pending = attempt / below(target, self.root)
        pending.mkdir(parents=True, exist_ok=True)
        writes = [partial(publish, part, pending / part.name) for part in parts]
        writes.append(partial(replace_file, attempt / _WRITTEN, manifest))
        each_at(attempt, lambda write: write(), writes)
        move(attempt / _WRITTEN, pending / MANIFEST)  # from here on `recover` would end it
        _put_in_place(pending, target)
        remove_tree(attempt)

    def recover(self) -> None:
        """Brings those that are whole to their places, and removes the others."""
        for file in list(files_under(self.folder)):
            if file.name == MANIFEST:
                attempt, _, partition = below(file.parent, self.folder).partition("/")
                # a version before had no folders of attempts
                partition = partition if attempt.startswith(_ATTEMPT) else f"{attempt}/{partition}"
                _put_in_place(file.parent, self.root / partition)
        remove_tree(self.folder)


def _put_in_place(pending: Place, target: Place) -> None:
    """Puts a partition that is whole in its place. May be repeated when it broke off."""
    told = parts_told((pending / MANIFEST).read_bytes())
    target.mkdir(parents=True, exist_ok=True)
    if isinstance(target, Path):
        sync(target.parent)
    for part in files_of(pending):
        move(pending / part["name"], target / part["name"])
    for there in files_of(target):
        if there["name"] not in told:  # of one that was written otherwise
            (target / there["name"]).unlink(missing_ok=True)
    move(pending / MANIFEST, target / MANIFEST)
