"""The command `compact`: of the datasets tables with a partition a day or a month in place of an hour, whose
files are neither many nor small. The datasets stay what they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import schemas
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import DatasetsOptions
from pipeline.console.columns import counted
from pipeline.options import option
from pipeline.process.directory_lock import locked_dataset
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.manifests import LAYOUT, MadeOf, find_partition, inputs_below, partitions_by
from transforms.datasets.score_order import sorted_on_disk
from transforms.datasets.storage_paths import Place, each_at
from transforms.datasets.stored_rows import scores_in
from transforms.events.parsing import NotAnEventError
from transforms.models.model import Model

DEPTHS: Mapping[str, int] = {"day": 4, "month": 3}  # how much of an hour's partition is a partition of these
_PART_BYTES = 128 << 20
_LARGE_AT_ONCE = 3  # days or months, some 60 MB of memory each


@dataclass(frozen=True, kw_only=True)
class Options(DatasetsOptions):
    by: str = option(
        "--by", choices=list(DEPTHS), default="day", help="what a partition holds (default: day)"
    )


def compacted(table: str, by: str) -> str:
    """Returns the name of a table by days or months."""
    return f"{table}_by_{by}"


def run(options: Options) -> int:
    """Writes each day or month that is not there yet, or is of other files. Returns 1 when an hour cannot be
    read."""
    configuration = load_with(options.models, options.overrides)
    models = options.models_there(configuration.models.values())
    layout = "/".join(LAYOUT.split("/")[: DEPTHS[options.by]])
    writer, wrong = DatasetWriter(options.root.resolve(), part_bytes=_PART_BYTES, layout=layout), 0
    with locked_dataset(writer, ""):
        writer.recover()
        for model in models:
            wrong += not _CompactedTable(writer, model, options.by).write()
    return 1 if wrong else 0


@dataclass(frozen=True)
class _CompactedTable:
    """The table of a model by days or months."""

    writer: DatasetWriter
    model: Model
    by: str

    @property
    def _hourly(self) -> Place:
        return self.writer.root / schemas.table_name(self.model.stream)

    @property
    def _name(self) -> str:
        return compacted(schemas.table_name(self.model.stream), self.by)

    def write(self) -> bool:
        """Writes the table and prints what it did; returns whether all could be read."""
        hours = partitions_by(self._hourly, DEPTHS[self.by])
        in_format = replace(self, writer=self.writer.in_format_of(self._hourly))
        results = each_at(self.writer.root, in_format._write, hours.items(), _LARGE_AT_ONCE)
        for error in results:
            if isinstance(error, str):
                print(f"{self._name}: {error}; regenerate --resume makes a partition anew")
        print(f"{self._name}: {counted(results.count(True), self.by)} written, {len(hours):,} in all")
        return not any(isinstance(result, str) for result in results)

    def _write(self, of_partition: tuple[str, Sequence[str]]) -> bool | str:
        """Returns whether there was something to write, or why an hour cannot be read."""
        partition, hours = of_partition
        places = [self._hourly / hour for hour in hours]
        made_of = MadeOf([entry for place in places for entry in inputs_below(self.writer.root, place)])
        target = self.writer.root / self._name / partition
        try:
            for place in places:
                if (found := find_partition(place)) and found.damage:
                    return found.damage
            return self.writer.replace_if_stale(target, self.model.schema, self._in_order(places), made_of)
        except (NotAnEventError, OSError) as error:
            return str(error)

    def _in_order(self, hours: Sequence[Place]) -> Iterator[Mapping[str, Any]]:
        """Yields the scores of several hours by wiki and revision, sorted on disk."""
        with self.writer.scratch() as folder:
            scores = (row for hour in hours for row in scores_in(hour, self.model.name))
            yield from sorted_on_disk(scores, folder)
