"""Units of work, a model and a partition each: out of its journal a unit becomes a partition of the model's table, whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

import schemas
from transforms.event_files import InputFile, read_file
from transforms.failures import alike, origin_of
from transforms.journals import entries, order, scores_in_order
from transforms.models import Model
from transforms.part_files import PART_FILES
from transforms.read_events import NotAnEvent, parse
from transforms.score_events import said_in, score_id
from transforms.source_events import wiki_of

MANIFEST = "_manifest.json"  # beside the part files; readers of Hive tables pass over names that begin with _
_ROWS_AT_ONCE = 4_000


@dataclass(frozen=True)
class Tables:
    """The tables below `root`, in one format, and the folder beside it in which partitions are prepared: a rename must not cross file systems."""

    root: Path
    form: str  # a key of transforms.part_files.PART_FILES
    streams: Mapping[str, str] = field(default_factory=dict)  # by model
    failure_stream: str = ""

    @property
    def working(self) -> Path:
        return self.root.with_name(f".{self.root.name}.working")

    def partition(self, model: str, partition: str) -> Path:
        return self.root / schemas.table_name(self.streams[model]) / partition

    def failures(self, partition: str) -> Path:
        return self.root / schemas.table_name(self.failure_stream) / partition

    def replace(self, target: Path, schema: str, rows: Iterable[Mapping[str, Any]], manifest: Mapping[str, Any] | None = None) -> int:
        """Writes the rows into a partition that takes the place of the one that is there; gives how many there are. Raises what the rows raise, and
        OSError when the disk is full, and leaves what is there."""
        whole = self.working / "whole" / str(uuid.uuid4())
        whole.mkdir(parents=True)
        try:
            part = PART_FILES[self.form]
            file = part(whole / f"part-{uuid.uuid4()}.{part.suffix}", schema)  # without rows too: some readers take no table without a file
            count, rows = 0, iter(rows)
            while some := list(islice(rows, _ROWS_AT_ONCE)):
                file.append(some)
                count += len(some)
            file.close()
            if manifest is not None:
                (whole / MANIFEST).write_bytes(orjson.dumps({**manifest, "files": files_of(whole), "rows": count}, option=orjson.OPT_INDENT_2))
            replaced = self.working / "replaced" / target.relative_to(self.root)
            for folder in (target, replaced):
                folder.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                target.rename(replaced)
            whole.rename(target)
            shutil.rmtree(replaced, ignore_errors=True)
        except BaseException:
            shutil.rmtree(whole, ignore_errors=True)
            raise
        return count

    def renew(self, target: Path, schema: str, rows: Iterable[Mapping[str, Any]], made_of: Mapping[str, Any]) -> bool:
        """Replaces a partition unless its manifest says that it is made of just that; gives whether it did."""
        if made_of.items() <= (manifest_of(target) or {}).items():
            return False
        self.replace(target, schema, rows, made_of)
        return True

    def tidy(self) -> None:
        """Undoes what was half done when a run was killed: a partition that was to be replaced is there again."""
        for replaced in [path.parent for path in (self.working / "replaced").rglob("part-*")]:
            target = self.root / replaced.relative_to(self.working / "replaced")
            if replaced.exists() and not target.exists():
                replaced.rename(target)
        for name in ("whole", "replaced"):
            shutil.rmtree(self.working / name, ignore_errors=True)


def files_of(partition: Path) -> list[dict[str, Any]]:
    return [{"name": path.name, "bytes": path.stat().st_size} for path in sorted(partition.glob("part-*"))]


def manifest_of(partition: Path) -> Mapping[str, Any] | None:
    """What is said of a partition that is whole; None when there is none."""
    try:
        manifest: Mapping[str, Any] = orjson.loads((partition / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return manifest


@dataclass
class Contents:
    """What a manifest says of the rows of its partition, counted as they go by."""

    model_versions: Counter[str] = field(default_factory=Counter)
    wikis: Counter[str] = field(default_factory=Counter)
    predictions: Counter[str] = field(default_factory=Counter)
    probability: list[int] = field(default_factory=lambda: [0] * 10)  # of true, in tenths; of models that say true or false

    def counted(self, rows: Iterable[Mapping[str, Any]], model: str) -> Iterator[Mapping[str, Any]]:
        for row in rows:
            said = said_in(row, model)
            self.model_versions[said.model_version] += 1
            self.wikis[wiki_of(row)] += 1
            self.predictions.update(said.predictions)
            if "true" in said.probabilities:
                self.probability[min(9, int(said.probabilities["true"] * 10))] += 1
            yield row


class Unfinished(Exception):
    """A unit that is not whole; says by reason how many of its elements have to be tried again."""

    def __init__(self, reasons: Counter[str]) -> None:
        super().__init__(", ".join(reasons))
        self.reasons = reasons


def settle(tables: Tables, model: Model, partition: str, journal: Path, about: Mapping[str, Any], *, added: bool = False) -> Counter[str]:
    """Makes a whole partition of a journal, and of its failures rows of the failure table; gives these by reason. `about`: for the manifest.
    `added`: the rows of the partition that is there stay, but for those that the journal has.

    Raises Unfinished, and leaves the journal, when another try may mend some of its failures or the disk is full. May be repeated when it broke off.
    """
    failed = [entry for entry in entries(journal) if entry.failure]
    if again := Counter(alike(entry.body) for entry in failed if entry.passing):
        raise Unfinished(again)
    failures = {entry.body["meta"]["id"]: entry.body for entry in failed}
    reasons = Counter(map(alike, failures.values()))
    contents = Contents()
    told = {"model": model.name, "partition": partition, "written": now(), "failures": reasons, **about}
    rows: Iterator[Mapping[str, Any]] = scores_in_order(journal)
    try:
        if added:
            rows = _merged(rows, sorted(rows_in(tables.partition(model.name, partition)), key=order))
            healed = {entry.body["meta"]["id"] for entry in entries(journal) if not entry.failure}
            add_failures(tables, partition, failures, lambda row: score_of(row, model.name, model.stream) in healed)
        else:
            add_failures(tables, partition, failures, lambda row: origin_of(row)[1] == model.name)
        tables.replace(tables.partition(model.name, partition), model.schema, contents.counted(rows, model.name), {**told, **vars(contents)})
    except OSError as error:
        raise Unfinished(Counter([f"{error.strerror}: {error.filename or tables.root}"])) from error
    shutil.rmtree(journal, ignore_errors=True)  # a unit without requests has none
    return reasons


def _merged(new: Iterator[Mapping[str, Any]], there: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Both in one order; of two with the same `meta.id` the new one."""
    before = None
    for row in merge(new, there, key=order):
        if row["meta"]["id"] != before:
            yield row
        before = row["meta"]["id"]


def add_failures(
    tables: Tables, partition: str, failures: Mapping[str, Mapping[str, Any]], replaced: Callable[[Mapping[str, Any]], bool] = lambda row: False
) -> None:
    """Rows for the failure table by their `meta.id`, in the stead of those that are there and `replaced`."""
    there = {row["meta"]["id"]: row for row in rows_in(tables.failures(partition))}
    kept = {name: row for name, row in there.items() if not replaced(row)}
    if failures or len(kept) < len(there):
        tables.replace(tables.failures(partition), schemas.ERROR, {**kept, **failures}.values())


def score_of(failure: Mapping[str, Any], model: str, stream: str) -> str | None:
    """The `meta.id` that the score would have had which a row of the failure table is of; None when it is of no score of this model."""
    if origin_of(failure)[1] != model:
        return None
    try:
        return score_id(parse(failure["raw_event"]), stream)
    except (NotAnEvent, KeyError, AttributeError):  # its original was cut
        return None


def rows_in(place: Path, fields: frozenset[str] | None = None) -> Iterator[Mapping[str, Any]]:
    """All rows below a place, or some fields of theirs; none when there is no such place. Raises NotAnEvent for what cannot be read."""
    for path in sorted(place.rglob("part-*")) if place.is_dir() else ():
        for raw in read_file(InputFile(str(path), "", None), fields):
            if raw.problem:
                raise NotAnEvent(raw.problem)
            yield parse(raw.data) if isinstance(raw.data, bytes) else raw.data


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
