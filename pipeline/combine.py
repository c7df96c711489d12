"""The command `combine`: of the datasets of revision scores one more, with what all models said of a revision in one row (`mediawiki_revision_score`)."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any

import schemas
from pipeline.alone import alone_in
from pipeline.wrong_use import WrongUse
from transforms.combined_scores import SCHEMAS, STREAM, Part, combined_score
from transforms.failures import origin_of
from transforms.models import Configuration, Model
from transforms.part_files import form_of
from transforms.read_events import NotAnEvent, parse
from transforms.score_events import utc_now
from transforms.source_events import rev_id_of, wiki_of
from transforms.units import MANIFEST, Tables, files_of, manifest_of, rows_in

_Keyed = tuple[str, int, Part]


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Writes each partition that all models are done with and that is not there yet, or is of other files. Gives 1 when one waits for a model."""
    root: Path = arguments.root.resolve()
    models = [model for model in configuration.models.values() if model.schema == schemas.REVISION_SCORE and (root / schemas.table_name(model.stream)).is_dir()]
    if not models:
        raise WrongUse(f"no dataset of a model lies in {arguments.root}; name the --output of regenerate")
    tables_of = {model.name: root / schemas.table_name(model.stream) for model in models}
    partitions = sorted({str(path.parent.relative_to(table)) for table in tables_of.values() for path in table.rglob(MANIFEST)})
    tables = Tables(root, "parquet")
    tables.working.mkdir(exist_ok=True)
    written = waiting = 0
    with alone_in(tables.working, f"{arguments.root}: another run writes to it; wait for it, or stop it"):
        tables.tidy()
        for partition in partitions:
            if missing := [name for name, table in tables_of.items() if manifest_of(table / partition) is None]:
                waiting += 1
                print(f"{partition}: waits for {', '.join(missing)}; regenerate --resume")
                continue
            written += _write(tables, partition, models, schemas.table_name(configuration.failure_stream), SCHEMAS[arguments.schema])
    if {path.name for path in tables.working.iterdir()} <= {"lock", "whole", "replaced"}:  # no run of regenerate has to go on there
        shutil.rmtree(tables.working)
    print(f"{schemas.table_name(STREAM)}: {written} partitions written, {len(partitions) - waiting} there are")
    return 1 if waiting else 0


def _write(tables: Tables, partition: str, models: Sequence[Model], failures: str, schema: str) -> bool:
    """Whether there was something to write."""
    places = {model.name: tables.root / schemas.table_name(model.stream) / partition for model in models}
    failed = tables.root / failures / partition
    made_of = {"input": {name: files_of(place) for name, place in {**places, "failures": failed}.items()}, "schema": schema}
    in_form = replace(tables, form=form_of(next(iter(places.values()))))
    return in_form.renew(tables.root / schemas.table_name(STREAM) / partition, schema, _combined(places, failed, schema), made_of)


def _combined(places: Mapping[str, Path], failed: Path, schema: str) -> Iterator[Mapping[str, Any]]:
    """A revision of which all failed and no event can be made has none; its failures are in the failure table."""
    failures = sorted(_failures(failed, places.keys()), key=_revision)
    scores = [_scores(model, place) for model, place in places.items()]
    for _, of_revision in groupby(merge(*scores, failures, key=_revision), _revision):
        with suppress(schemas.InvalidEvent):
            yield combined_score([part for _, _, part in of_revision], schema, utc_now())


def _revision(keyed: _Keyed) -> tuple[str, int]:
    return keyed[:2]


def _scores(model: str, place: Path) -> Iterator[_Keyed]:
    """Rows lie in this order."""
    return ((row["database"], row["rev_id"], Part(model, row)) for row in rows_in(place))


def _failures(place: Path, models: Collection[str]) -> Iterator[_Keyed]:
    for row in rows_in(place):
        step, model = origin_of(row)
        if model in models:
            raw = _source(row)
            if raw is not None:
                yield wiki_of(raw), rev_id_of(raw), Part(model, raw, step, row["message"])


def _source(failure: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """None where its original was cut."""
    try:
        return parse(failure["raw_event"])
    except NotAnEvent:
        return None
