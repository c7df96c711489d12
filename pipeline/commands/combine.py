"""The command `combine`: of the datasets of revision scores one more, with what all models said of a revision
in one row (`mediawiki_revision_score`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import groupby
from typing import Any

import schemas
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import DatasetsOptions
from pipeline.console.columns import counted
from pipeline.options import option
from pipeline.process.directory_lock import locked_dataset
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.manifests import MadeOf, find_partition, inputs_below, partitions_in
from transforms.datasets.storage_paths import Place, each_at
from transforms.datasets.stored_rows import failures_in, scores_in
from transforms.events.combined_events import SCHEMAS, STREAM, Part, combined_score
from transforms.events.error_events import origin_of
from transforms.events.parsing import NotAnEventError, parse
from transforms.events.score_events import utc_now
from transforms.events.source_events import rev_id_of, wiki_of
from transforms.models.model import Model

_Keyed = tuple[str, int, Part]


@dataclass(frozen=True, kw_only=True)
class Options(DatasetsOptions):
    schema: str = option(
        "--schema",
        choices=["2.0.0", "3.0.0"],
        default="3.0.0",
        help="version of /mediawiki/revision/score (default: 3.0.0)",
    )


def run(options: Options) -> int:
    """Writes each partition that all models are done with and that is not there yet, or is of other files.
    Returns 1 when one waits for a model."""
    configuration = load_with(options.models, options.overrides)
    models = options.models_there(
        model for model in configuration.models.values() if model.schema == schemas.REVISION_SCORE
    )
    writer = DatasetWriter.of_models(options.root.resolve(), models, configuration.failure_stream)
    with locked_dataset(writer, ""):
        writer.recover()
        waiting = _combine_all(writer, models, SCHEMAS[options.schema])
    return 1 if waiting else 0


def _combine_all(writer: DatasetWriter, models: Sequence[Model], schema: str) -> int:
    """Writes each partition that any model has, prints what came of it, and returns how many wait for a
    model."""
    partitions = sorted(
        {partition for model in models for partition in partitions_in(writer.table(model.name))}
    )
    written = waiting = 0
    write = partial(_combine, writer, models, schema)
    for partition, result in zip(partitions, each_at(writer.root, write, partitions), strict=True):
        if isinstance(result, str):
            waiting += 1
            print(f"{partition}: {result}")
        else:
            written += result
    print(
        f"{schemas.table_name(STREAM)}: {counted(written, 'partition')} written, "
        f"{len(partitions) - waiting:,} in all"
    )
    return waiting


def _combine(writer: DatasetWriter, models: Sequence[Model], schema: str, partition: str) -> bool | str:
    """Returns whether there was something to write, or why that cannot be told yet."""
    try:
        if missing := list(_not_whole(writer, partition)):
            return f"waits for {', '.join(missing)}; regenerate --resume"
        return _write(writer, partition, models, schema)
    except (NotAnEventError, OSError) as error:
        return f"{error}; regenerate --resume makes a partition anew"


def _not_whole(writer: DatasetWriter, partition: str) -> Iterator[str]:
    """Yields the models whose part is not there, or not as it was written, with the reason."""
    for model in writer.streams:
        found = find_partition(writer.partition(model, partition))
        if found is None:
            yield model
        elif found.damage:
            yield f"{model} ({found.damage})"


def _write(writer: DatasetWriter, partition: str, models: Sequence[Model], schema: str) -> bool:
    """Writes a partition unless it is up to date; returns whether it did."""
    places = {model.name: writer.partition(model.name, partition) for model in models}
    failed = writer.failures(partition)
    made_of = MadeOf(
        [entry for place in (*places.values(), failed) for entry in inputs_below(writer.root, place)],
        {"schema": schema},
    )
    return writer.in_format_of(next(iter(places.values()))).replace_if_stale(
        writer.root / schemas.table_name(STREAM) / partition,
        schema,
        _combined(places, failed, schema),
        made_of,
    )


def _combined(places: Mapping[str, Place], failed: Place, schema: str) -> Iterator[Mapping[str, Any]]:
    """Yields the combined event of each revision, in order. Where all models failed and no event can be made
    there is none; those failures are in the failure table."""
    failures = sorted(_failures(failed, places.keys()), key=_revision)
    scores = [_scores(model, place) for model, place in places.items()]
    for _, of_revision in groupby(merge(*scores, failures, key=_revision), _revision):
        with suppress(schemas.InvalidEventError):
            yield combined_score([part for _, _, part in of_revision], schema, utc_now())


def _revision(keyed: _Keyed) -> tuple[str, int]:
    return keyed[:2]


def _scores(model: str, place: Place) -> Iterator[_Keyed]:
    """Yields in the order of `_revision`, in which rows lie."""
    return ((row["database"], row["rev_id"], Part(model, row)) for row in scores_in(place, model))


def _failures(place: Place, models: Collection[str]) -> Iterator[_Keyed]:
    for row in failures_in(place):
        step, model = origin_of(row)
        if model in models:
            raw = _source(row)
            if raw is not None:
                yield wiki_of(raw), rev_id_of(raw), Part(model, raw, step, row["message"])


def _source(failure: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the event that failed; None where it was cut."""
    try:
        return parse(failure["raw_event"])
    except NotAnEventError:
        return None
