"""Tables of a dataset: a partition is written whole or not at all, and flushed to the disk before it is
renamed into place."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import schemas
from transforms.datasets.durable_files import sync, write_file
from transforms.datasets.event_files import InputFile, read_file
from transforms.datasets.manifests import (
    MANIFEST,
    MadeOf,
    files_below,
    files_of,
    find_partition,
    manifest_json,
)
from transforms.datasets.part_files import PART_FILES, format_of
from transforms.events.parsing import NotAnEventError, parse

_WORKING = ".working"  # readers of Hive tables pass over names that begin with a dot
_ROWS_AT_ONCE = 4_000


@dataclass(frozen=True)
class DatasetWriter:
    """Writes the tables below `root`. What is not whole yet lies in a folder of `root`, as a rename must not
    cross file systems."""

    root: Path
    # a key of part_files.PART_FILES, of tables that have no rows yet; the others keep theirs
    format: str = "parquet"
    streams: Mapping[str, str] = field(default_factory=dict)  # by model
    failure_stream: str = ""

    @property
    def working(self) -> Path:
        return self.root / _WORKING

    @property
    def _backup(self) -> Path:
        return self.working / "backup"

    def table(self, model: str) -> Path:
        return self.root / schemas.table_name(self.streams[model])

    def partition(self, model: str, partition: str) -> Path:
        return self.table(model) / partition

    def failures(self, partition: str) -> Path:
        return self.root / schemas.table_name(self.failure_stream) / partition

    def replace(
        self,
        target: Path,
        schema: str,
        rows: Iterable[Mapping[str, Any]],
        manifest: Callable[[], Mapping[str, Any]] | None = None,
    ) -> int:
        """Writes the rows into a partition that takes the place of the one that is there; returns how many
        there are. `manifest` is called when all rows went by. Raises what the rows raise, and OSError when
        the disk is full, and leaves what is there."""
        staged = self.working / "staging" / str(uuid.uuid4())
        staged.mkdir(parents=True)
        try:
            form = format_of(self.root / target.relative_to(self.root).parts[0]) or self.format
            count = _write_part(staged, form, schema, rows)
            if manifest is not None:
                told = {"format": form, **manifest(), "files": files_of(staged), "rows": count}
                write_file(staged / MANIFEST, manifest_json(told))
            sync(staged)
            self._swap(staged, target)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        return count

    def _swap(self, staged: Path, target: Path) -> None:
        backup = self._backup / target.relative_to(self.root)
        for folder in (target, backup):
            folder.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(backup)
        try:
            staged.rename(target)
        except OSError:
            if backup.exists():
                backup.rename(target)
            raise
        sync(target.parent)
        shutil.rmtree(backup, ignore_errors=True)

    def replace_if_stale(
        self, target: Path, schema: str, rows: Iterable[Mapping[str, Any]], made_of: MadeOf
    ) -> bool:
        """Replaces a partition unless it is whole and made of just that; returns whether it did."""
        found = find_partition(target)
        if found and not found.differences(made_of):
            return False
        self.replace(target, schema, rows, lambda: {**made_of.as_json(), "failures": {}, "missing": []})
        return True

    def recover(self) -> None:
        """Undoes what was half done when a run was killed: a partition that was to be replaced is there
        again."""
        for backup in list(self._backup.rglob("hour=*")):
            target = self.root / backup.relative_to(self._backup)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                backup.rename(target)
        for folder in (self._backup, self.working / "staging"):
            shutil.rmtree(folder, ignore_errors=True)

    def is_on_another_device(self, place: Path) -> bool:
        """Whether a place is on another file system than `root`, so that nothing can be renamed to it."""
        there = next(each for each in (place, *place.parents) if each.exists())
        return (
            place.is_relative_to(self.root)
            and self.root.exists()
            and os.stat(there).st_dev != os.stat(self.root).st_dev
        )


def _write_part(folder: Path, form: str, schema: str, rows: Iterable[Mapping[str, Any]]) -> int:
    part = PART_FILES[form]
    final = folder / f"part-{uuid.uuid4()}.{part.suffix}"
    # without rows too: some readers take no table without a file
    file = part(final.with_name(f".{final.name}.new"), schema)
    count, rows = 0, iter(rows)
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        file.append(some)
        count += len(some)
    file.close()
    sync(file.path)
    file.path.rename(final)  # so that nobody who looks for such files finds one that is not whole
    return count


def rows_in(place: Path, fields: frozenset[str] | None = None) -> Iterator[Mapping[str, Any]]:
    """Yields all rows below a place, or some fields of theirs; none when there is no such place. Raises
    NotAnEventError for what cannot be read."""
    for path in sorted(files_below(place)):
        for raw in read_file(InputFile(str(path), "", None), fields):
            if raw.problem:
                raise NotAnEventError(raw.problem)
            yield parse(raw.data) if isinstance(raw.data, bytes) else raw.data
