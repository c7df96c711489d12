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
from transforms.models import Configuration

_SHOWN = 3


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Prints a line for each score. Gives 1 when there is none."""
    tables = {model.name: arguments.root / schemas.table_name(model.stream) for model in configuration.models.values()}
    tables = {model: table for model, table in tables.items() if table.is_dir()}
    if not tables:
        raise WrongUse(f"no dataset of a model lies in {arguments.root}; name the --output of regenerate")
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda table: list(_rows(table, arguments.wiki, arguments.rev_id)), tables.values())
        rows = [(model, row) for model, of_model in zip(tables, found, strict=True) for row in of_model]
    for model, row in rows:
        print(orjson.dumps(schemas.event_of_row(row)).decode() if arguments.json else _line(model, row))
    if not rows:
        print(f"no model has a score of revision {arguments.rev_id} of {arguments.wiki} in {arguments.root}", file=sys.stderr)
    return 0 if rows else 1


def _rows(table: Path, wiki: str, rev_id: int) -> Iterator[Mapping[str, Any]]:
    files = sorted(map(str, table.rglob("part-*.parquet")))
    if not files and any(table.rglob("part-*")):
        raise WrongUse(f"{table} is not in Parquet, which alone can be searched")
    if files:
        dataset = pads.dataset(files, schema=schemas.arrow_schema(schemas.REVISION_SCORE), format="parquet")
        yield from dataset.to_table(filter=(pc.field("rev_id") == rev_id) & (pc.field("database") == wiki)).to_pylist()


def _line(model: str, row: Mapping[str, Any]) -> str:
    score = dict(row["scores"])[model]
    probability = sorted(score["probability"], key=lambda item: -item[1])
    likely = ", ".join(f"{label} {value:.3f}" for label, value in probability[:_SHOWN]) + (", …" if len(probability) > _SHOWN else "")
    return f"{model:<16}{score['model_version']:<10}{', '.join(score['prediction']):<30}{likely}  ({row['dt']})"
