"""The command `compact`: of the datasets tables with a partition a day or a month in place of an hour, whose
files are neither many nor small. The datasets stay what they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import schemas
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import SomeModelsOptions
from pipeline.console.columns import counted
from pipeline.options import check_reached, directory, option
from pipeline.process.directory_lock import locked_dataset
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.journal import sorted_on_disk
from transforms.datasets.manifests import LAYOUT, MadeOf, find_partition, inputs_below, partitions_by
from transforms.datasets.part_files import format_of
from transforms.datasets.places import Place, each_at
from transforms.datasets.units import scores_in
from transforms.events.parsing import NotAnEventError
from transforms.models.model import Model

DEPTHS: Mapping[str, int] = {"day": 4, "month": 3}  # how much of an hour's partition is a partition of these
_PART_BYTES = 128 << 20
_LARGE_AT_ONCE = 3  # days or months, some 60 MB of memory each


@dataclass(frozen=True, kw_only=True)
class Options(SomeModelsOptions):
    root: Place = option("root", type=directory, metavar="ROOT", help="the --output of regenerate")
    by: str = option(
        "--by", choices=list(DEPTHS), default="day", help="what a partition holds (default: day)"
    )


def compacted(table: str, by: str) -> str:
    """The name of a table by days or months."""
    return f"{table}_by_{by}"


def run(options: Options) -> int:
    """Writes each day or month that is not there yet, or is of other files. Gives 1 when an hour cannot be
    read."""
    configuration = load_with(options.models, options.overrides)
    check_reached(options.root, "ROOT")
    root = options.root.resolve()
    models = [
        model for model in configuration.models.values() if (root / schemas.table_name(model.stream)).is_dir()
    ]
    if not models:
        raise UsageError(f"no dataset of a model lies in {options.root}; name the --output of regenerate")
    writer, wrong = DatasetWriter(root, part_bytes=_PART_BYTES), 0
    with locked_dataset(writer, ""):
        writer.recover()
        for model in models:
            wrong += not _compact(writer, model, options.by)
    return 1 if wrong else 0


def _compact(writer: DatasetWriter, model: Model, by: str) -> bool:
    """Writes a table and prints what it did; returns whether all could be read."""
    table = schemas.table_name(model.stream)
    hours = partitions_by(writer.root / table, DEPTHS[by])
    in_format = replace(writer, format=format_of(writer.root / table) or writer.format)
    write = partial(_write, in_format, model, table, by)
    results = each_at(writer.root, write, hours.items(), _LARGE_AT_ONCE)
    for error in results:
        if isinstance(error, str):
            print(f"{compacted(table, by)}: {error}; regenerate --resume makes a partition anew")
    print(f"{compacted(table, by)}: {counted(results.count(True), by)} written, {len(hours):,} in all")
    return not any(isinstance(result, str) for result in results)


def _write(
    writer: DatasetWriter, model: Model, table: str, by: str, of_partition: tuple[str, Sequence[str]]
) -> bool | str:
    """Returns whether there was something to write, or why an hour cannot be read."""
    partition, hours = of_partition
    places = [writer.root / table / hour for hour in hours]
    made_of = MadeOf([entry for place in places for entry in inputs_below(writer.root, place)])
    try:
        for place in places:
            if (found := find_partition(place)) and found.damage:
                return found.damage
        return writer.replace_if_stale(
            writer.root / compacted(table, by) / partition,
            model.schema,
            _in_order(writer, model.name, places),
            made_of,
            "/".join(LAYOUT.split("/")[: DEPTHS[by]]),
        )
    except (NotAnEventError, OSError) as error:
        return str(error)


def _in_order(writer: DatasetWriter, model: str, places: Sequence[Place]) -> Iterator[Mapping[str, Any]]:
    """The scores of several partitions, by wiki and revision. Sorted on disk."""
    with writer.scratch() as folder:
        yield from sorted_on_disk((row for place in places for row in scores_in(place, model)), folder)
