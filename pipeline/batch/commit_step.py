"""The last step of a run of `regenerate`: commits each partition when all journals are written."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import orjson

from pipeline.batch.committer import Committed, Committer
from pipeline.batch.plan import Planner
from transforms.datasets.durable_files import replace_file
from transforms.datasets.journal import UNKNOWN
from transforms.datasets.storage_paths import Place, each_at, files_under, remove_tree


@dataclass
class CommitPartitions(beam.PTransform):
    """Commits each partition when all journals are written; `take_committed` has what became of it.

    In: what tells that journals are written, at least one.
    Out: nothing, as no runner gives elements back.
    Bounded: bounded.
    Guarantee: a partition is committed whole or not at all, and may be again; which there are the journals
        say, as an attempt that a runner makes again writes nothing for those that the one before has asked
        for.
    """

    committer: Committer

    def expand(self, written: tuple[beam.PCollection[str], ...]) -> beam.PCollection[None]:
        return (
            written
            | beam.Flatten()
            | "AllWritten" >> beam.Distinct()
            | "ListPartitions" >> beam.FlatMap(lambda _: self.committer.partitions())
            | "Spread" >> beam.Reshuffle()
            | "Commit" >> beam.ParDo(_CommitFn(self.committer))
        )


class _CommitFn(beam.DoFn):
    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    def start_bundle(self) -> None:
        self._partitions: list[str] = []

    def process(self, partition: str) -> None:
        if partition != UNKNOWN:
            self._partitions.append(partition)

    def finish_bundle(self) -> None:
        committer, root = self._committer, self._committer.planner.writer.root
        told = orjson.dumps(each_at(root, committer.commit, self._partitions))
        place = _committed_in(committer.planner) / f"{uuid.uuid4()}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        replace_file(place, told)


def _committed_in(planner: Planner) -> Place:
    return planner.writer.working / "committed"


def take_committed(planner: Planner) -> Iterator[Committed]:
    """Yields what became of each partition of a job that is over."""
    files = [file for file in files_under(_committed_in(planner)) if not file.name.startswith(".")]
    told = [Committed(**each) for file in files for each in _read(file)]
    forget_committed(planner)
    # a worker that died may have told what its successor told again
    yield from {committed.partition: committed for committed in told}.values()


def forget_committed(planner: Planner) -> None:
    """Removes what jobs have told; one that was killed may have left some of it, whole or half."""
    remove_tree(_committed_in(planner))


def _read(file: Place) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = orjson.loads(file.read_bytes())
    return told
