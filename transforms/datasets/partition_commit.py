"""Commits units of work, a model and a partition each: out of its journal a unit becomes a partition of the
model's table, whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import schemas
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.journal import entries, failures_of, scores_in_order
from transforms.datasets.manifests import files_of, find_partition, now, write_manifest
from transforms.datasets.sorting_room import SORTING_ROOM
from transforms.datasets.storage_paths import Place, os_reason, sizes_in
from transforms.datasets.stored_rows import Row, failures_in, revision_of, score_of, scores_in
from transforms.events.error_events import alike, origin_of
from transforms.events.parsing import NotAnEventError
from transforms.events.prediction_summary import read_prediction
from transforms.events.source_events import wiki_of
from transforms.models.model import Model


@dataclass(frozen=True)
class Unit:
    """A model and a partition, and what a run does with what is there."""

    model: Model
    partition: str
    journal: Place
    # which of the rows that are there stay, unless the journal has them; None: none, and they are not read
    keeps: Callable[[Row], bool] | None
    keeps_failure: Callable[[Row], bool]  # which of the rows of the failure table that are of this model stay
    only_adds: bool  # whether all rows stay: then a journal without scores leaves the files as they are
    about: Mapping[str, Any]  # for the manifest


@dataclass
class PartitionStats:
    """What a manifest says of the rows of its partition, counted as they go by."""

    model_versions: Counter[str] = field(default_factory=Counter)
    rows_by_wiki: Counter[str] = field(default_factory=Counter)
    predictions: Counter[str] = field(default_factory=Counter)
    # of true, in tenths; of models that say true or false
    probability: list[int] = field(default_factory=lambda: [0] * 10)

    def counted(self, rows: Iterable[Row], model: str) -> Iterator[Row]:
        for row in rows:
            said = read_prediction(row, model)
            self.model_versions[said.model_version] += 1
            self.rows_by_wiki[wiki_of(row)] += 1
            self.predictions.update(said.predictions)
            if "true" in said.probabilities:
                self.probability[min(9, int(said.probabilities["true"] * 10))] += 1
            yield row


class UnitIncompleteError(Exception):
    """A unit that is not whole; says by reason how many of its elements have to be tried again."""

    def __init__(self, reasons: Counter[str]) -> None:
        super().__init__(", ".join(reasons))
        self.reasons = reasons


def commit_unit(writer: DatasetWriter, unit: Unit) -> Counter[str]:
    """Makes a whole partition of a journal and of the rows that stay, and rows of the failure table of its
    failures; returns these by reason.

    Raises UnitIncompleteError when another try may mend some of its failures, the disk is full or what is
    there cannot be read. Leaves the journal, and may be repeated.
    """
    failed = list(failures_of(unit.journal))
    if again := Counter(alike(entry.body) for entry in failed if entry.retryable):
        raise UnitIncompleteError(again)
    new = {entry.body["meta"]["id"]: entry.body for entry in failed}
    try:
        kept = _replace_failures(writer, unit, new)
        _replace_rows(writer, unit, [*kept, *new.values()])
    except OSError as error:
        raise UnitIncompleteError(
            Counter([f"{os_reason(error)}: {error.filename or writer.root}"])
        ) from error
    except NotAnEventError as error:
        raise UnitIncompleteError(
            Counter([f"{error}; remove the partition, and --resume makes it anew"])
        ) from error
    return Counter(map(alike, new.values()))


def _replace_failures(writer: DatasetWriter, unit: Unit, new: Mapping[str, Row]) -> list[Row]:
    """Returns the rows of this model's failures that stay."""

    @cache
    def healed() -> set[str]:
        return {entry.body["meta"]["id"] for entry in entries(unit.journal) if not entry.failure}

    def replaced(row: Row) -> bool:
        is_own = origin_of(row)[1] == unit.model.name
        return is_own and (not unit.keeps_failure(row) or score_of(row, unit.model) in healed())

    there = add_failures(writer, unit.partition, new, replaced)
    return [row for row in there if origin_of(row)[1] == unit.model.name and row["meta"]["id"] not in new]


def add_failures(
    writer: DatasetWriter,
    partition: str,
    failures: Mapping[str, Row],
    replaced: Callable[[Row], bool] = lambda row: False,
) -> Sequence[Row]:
    """Writes rows of the failure table by their `meta.id`, in the stead of those that are there and
    `replaced`; returns all that are there then."""
    there = {row["meta"]["id"]: row for row in failures_in(writer.failures(partition))}
    kept = {name: row for name, row in there.items() if not replaced(row)}
    rows = [*{**kept, **failures}.values()]
    if failures or len(kept) < len(there):
        writer.replace(writer.failures(partition), schemas.ERROR, rows)
    return rows


def _replace_rows(writer: DatasetWriter, unit: Unit, failures: Sequence[Row]) -> None:
    target, stats = writer.partition(unit.model.name, unit.partition), PartitionStats()
    missing, about = {score_of(row, unit.model): row for row in failures}, _about(unit, failures)
    has_scores = any(not entry.failure for entry in entries(unit.journal))
    found = find_partition(target) if unit.only_adds and not has_scores else None
    if found and found.is_known:
        told = {**found.manifest, **about, "missing": _told(missing), "files": files_of(target)}
        write_manifest(target, told)
        return

    def manifest() -> Mapping[str, Any]:
        return {**about, "missing": _told(missing), **vars(stats)}

    def rows() -> Generator[Row, None, None]:
        there = scores_in(target, unit.model.name) if unit.keeps else ()
        kept = (row for row in there if unit.keeps and unit.keeps(row))
        size = sum(sizes_in(unit.journal).values())
        # not while files get to their place, where HDFS has others wait for seconds
        with SORTING_ROOM.taken(size), writer.scratch() as folder:
            for row in scores_in_order(unit.journal, folder, kept):
                missing.pop(row["meta"]["id"], None)  # an older score is there
                yield row

    with closing(rows()) as scores:
        writer.replace(target, unit.model.schema, stats.counted(scores, unit.model.name), manifest)


def _about(unit: Unit, failures: Sequence[Row]) -> dict[str, Any]:
    """Returns what the manifest says whatever rows there are."""
    return {
        "model": unit.model.name,
        "partition": unit.partition,
        "written": now(),
        "failures": Counter(map(alike, failures)),
        **unit.about,
    }


def _told(missing: Mapping[str | None, Row]) -> list[Mapping[str, Any]]:
    """Returns the scores that are not there, for the manifest."""
    return [{"id": name, **revision_of(row)} for name, row in missing.items()]
