"""The command `scores`: what all models said of one revision, found in the datasets by the statistics of their row groups."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pyarrow.compute as pc
import pyarrow.dataset as pads

import schemas
from pipeline.wrong_use import WrongUse
from transforms.models import Configuration, Model
from transforms.score_events import said_in

_SHOWN = 3


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Prints a line for each score. Gives 1 when there is none."""
    tables = [(model, arguments.root / schemas.table_name(model.stream)) for model in configuration.models.values()]
    tables = [(model, table) for model, table in tables if table.is_dir()]
    if not tables:
        raise WrongUse(f"no dataset of a model lies in {arguments.root}; name the --output of regenerate")
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda of_model: list(_rows(of_model[0], of_model[1], arguments.wiki, arguments.rev_id)), tables)
        rows = [(model, row) for (model, _), of_model in zip(tables, found, strict=True) for row in of_model]
    for model, row in rows:
        print(orjson.dumps(row).decode() if arguments.json else _line(model.name, row))
    if not rows:
        print(f"no model has a score of revision {arguments.rev_id} of {arguments.wiki} in {arguments.root}", file=sys.stderr)
    return 0 if rows else 1


def _rows(model: Model, table: Path, wiki: str, rev_id: int) -> Iterator[Mapping[str, Any]]:
    files = sorted(map(str, table.rglob("part-*.parquet")))
    if not files and any(table.rglob("part-*")):
        raise WrongUse(f"{table} is not in Parquet, which alone can be searched")
    if files:
        dataset = pads.dataset(files, schema=schemas.arrow_schema(model.schema), format="parquet")
        if model.schema == schemas.REVISION_SCORE:
            wanted = (pc.field("rev_id") == rev_id) & (pc.field("database") == wiki)
        else:
            wanted = (pc.field("revision", "rev_id") == rev_id) & (pc.field("wiki_id") == wiki)
        for batch in dataset.to_table(filter=wanted).to_batches():
            yield from (row for row in schemas.events_of_batch(batch) if not isinstance(row, schemas.BadRow))


def _line(model: str, row: Mapping[str, Any]) -> str:
    said = said_in(row, model)
    probability = sorted(dict(said.probabilities).items(), key=lambda item: -item[1])
    likely = ", ".join(f"{label} {value:.3f}" for label, value in probability[:_SHOWN]) + (", …" if len(probability) > _SHOWN else "")
    return f"{model:<16}  {said.model_version:<10}{', '.join(said.predictions):<30}{likely}  ({row['dt']})"
