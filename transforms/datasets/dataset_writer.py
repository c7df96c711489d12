"""Tables of a dataset: a partition is its part files and a manifest, each replaced at once, the manifest
last."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import schemas
from transforms.datasets.durable_files import publish
from transforms.datasets.manifests import LAYOUT, MadeOf, files_of, find_partition, manifest_json
from transforms.datasets.part_files import PART_FILES, PartFile, format_of
from transforms.datasets.pending_partitions import PendingPartitions
from transforms.datasets.storage_paths import Place, address_of, below, remove_tree
from transforms.models.model import Model

_WORKING = ".working"  # readers of Hive tables pass over names that begin with a dot
_ROWS_AT_ONCE = 500  # some 5 MB as objects of Python


@dataclass(frozen=True)
class DatasetWriter:
    """Writes the tables below `root`."""

    root: Place
    # a key of part_files.PART_FILES, of tables that have no rows yet; the others keep theirs
    format: str = "parquet"
    streams: Mapping[str, str] = field(default_factory=dict)  # by model
    failure_stream: str = ""
    # a file of so many bytes is followed by another of its partition; None: each has one, whatever its size
    part_bytes: int | None = None
    layout: str = LAYOUT  # the keys of the folders that are a partition, for manifests

    @classmethod
    def of_models(
        cls, root: Place, models: Iterable[Model], failure_stream: str, format: str = "parquet"
    ) -> DatasetWriter:
        """Returns one for the tables of models and of their failures."""
        return cls(root, format, {model.name: model.stream for model in models}, failure_stream)

    def in_format_of(self, table: Place) -> DatasetWriter:
        """Returns one whose new tables are in the format of a table that is there, or of a partition."""
        return replace(self, format=format_of(table) or self.format)

    @property
    def working(self) -> Place:
        """Returns the folder of what is not whole yet."""
        return self.root / _WORKING

    @property
    def _pending(self) -> PendingPartitions:
        return PendingPartitions(self.root, self.working / "pending")

    def table(self, model: str) -> Place:
        """Returns where the table of a model is."""
        return self.root / schemas.table_name(self.streams[model])

    def partition(self, model: str, partition: str) -> Place:
        """Returns where a partition of a model is."""
        return self.table(model) / partition

    def failures(self, partition: str) -> Place:
        """Returns where a partition of the failure table is."""
        return self.root / schemas.table_name(self.failure_stream) / partition

    def scratch(self) -> AbstractContextManager[str]:
        """Yields a folder of this machine, gone with its context, for files on their way to `root`: there,
        where that is here, as a rename must not cross file systems."""
        if not isinstance(self.root, Path):
            return tempfile.TemporaryDirectory(prefix=self._scratch_prefix)
        folder = self.root / _WORKING / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=folder)

    @property
    def _scratch_prefix(self) -> str:
        """Returns how the folders of this machine that are for `root` begin, by which those of a killed run
        are found."""
        return f"revision-scores-{uuid.uuid5(uuid.NAMESPACE_URL, address_of(self.root))}-"

    def replace(
        self,
        target: Place,
        schema: str,
        rows: Iterable[Mapping[str, Any]],
        manifest: Callable[[], Mapping[str, Any]] | None = None,
    ) -> int:
        """Writes the rows into a partition, in place of those that are there; returns how many there are.

        Readers find the old rows or the new ones, all of them. `manifest` is called when all rows went by.
        Raises what the rows raise, and OSError when the disk is full, and leaves what is there.
        """
        table = below(target, self.root).partition("/")[0]
        form = format_of(self.root / table) or self.format
        part_file, names = PART_FILES[form], self._part_names(target, PART_FILES[form].suffix)
        with self.scratch() as folder:
            parts = (part_file(Path(folder, name), schema) for name in names)
            written = _write_parts(parts, rows, self.part_bytes)
            total = sum(written.values())
            if manifest is not None:
                files = [{"name": part.name, "bytes": part.stat().st_size} for part in written]
                about = {"format": form, "layout": self.layout, **manifest()}
                told = manifest_json({**about, "files": files, "rows": total})
                self._pending.bring([*written], told, target)
            else:
                target.mkdir(parents=True, exist_ok=True)
                for part in written:
                    publish(part, target / part.name)
        return total

    def _part_names(self, target: Place, suffix: str) -> Iterator[str]:
        """Returns names for the part files of a partition, without end.

        A file that is there keeps its name: it is replaced at once, where two would be seen together. A new
        one has the same from everybody: a worker that Flink gave up may still do what its successor does.
        """
        before = [file["name"] for file in files_of(target) if file["name"].endswith(f".{suffix}")]
        new = (f"part-{_name_of(below(target, self.root), number)}.{suffix}" for number in count(len(before)))
        return chain(before, (name for name in new if name not in before))

    def replace_if_stale(
        self,
        target: Place,
        schema: str,
        rows: Iterable[Mapping[str, Any]],
        made_of: MadeOf,
    ) -> bool:
        """Replaces a partition unless it is whole and made of just that; returns whether it did."""
        found = find_partition(target)
        if found and not found.differences(made_of):
            return False
        about = {**made_of.as_json(), "failures": {}, "missing": []}
        self.replace(target, schema, rows, lambda: about)
        return True

    def recover(self) -> None:
        """Ends what was half done when a run was killed: rows that were replaced get their manifest, and what
        0.1 had moved away is there again."""
        self._pending.recover()
        if isinstance(self.root, Path):
            _bring_back(self.root / _WORKING / "backup", self.root)
        for folder in ("backup", "staging", "scratch"):
            remove_tree(self.working / folder)
        for scratch in Path(tempfile.gettempdir()).glob(f"{self._scratch_prefix}*"):
            remove_tree(scratch)

    def is_on_another_device(self, place: Place) -> bool:
        """Returns whether a place is on another file system than `root`, so that nothing can be renamed to
        it."""
        if not isinstance(self.root, Path) or not isinstance(place, Path) or not self.root.exists():
            return False
        there = next(each for each in (place, *place.parents) if each.exists())
        return place.is_relative_to(self.root) and os.stat(there).st_dev != os.stat(self.root).st_dev


def _name_of(partition: str, number: int) -> uuid.UUID:
    """Returns a name for a part file that no other partition has."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{partition}/{number}")


def _bring_back(backup: Path, root: Path) -> None:
    for folder in list(backup.rglob("hour=*")):
        target = root / folder.relative_to(backup)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(target)


def _write_parts(
    parts: Iterable[PartFile], rows: Iterable[Mapping[str, Any]], most_bytes: int | None
) -> dict[Path, int]:
    """Returns the rows of each file: of the next of those given, when one has so many bytes. Writes one
    without rows, too: some readers take no table without one."""
    written, rows = dict[Path, int](), iter(rows)
    some = list(islice(rows, _ROWS_AT_ONCE))
    for part in parts:
        written[part.path] = 0
        while some and (most_bytes is None or part.path.stat().st_size < most_bytes):
            part.append(some)
            written[part.path] += len(some)
            some = list(islice(rows, _ROWS_AT_ONCE))
        part.close()
        if not some:
            break
    return written
