"""The command `scores`: what all models said of one revision, found in the datasets by the statistics of
their row groups."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

import schemas
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import SomeModelsOptions
from pipeline.console.columns import counted
from pipeline.options import check_reached, directory, flag, option
from pipeline.usage_error import UsageError
from transforms.datasets.filesystem import for_arrow, name_of
from transforms.datasets.manifests import files_below
from transforms.datasets.places import Place, address_of, os_reason
from transforms.events.score_events import read_prediction
from transforms.models.model import Model

_SHOWN = 3
_Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options(SomeModelsOptions):
    root: Place = option(
        "root", type=directory, metavar="ROOT", help="the --output of regenerate, in Parquet"
    )
    wiki: str = option("--wiki", required=True, metavar="WIKI", help="database name, such as enwiki")
    rev_id: int = option("--rev-id", required=True, type=int, metavar="N")
    json: bool = flag("--json", help="the score events, a line each")


def run(options: Options) -> int:
    """Prints a line for each score. Gives 1 when there is none, or a file cannot be read."""
    configuration = load_with(options.models, options.overrides)
    check_reached(options.root, "ROOT")
    tables = [
        (model, options.root / schemas.table_name(model.stream)) for model in configuration.models.values()
    ]
    tables = [(model, table) for model, table in tables if table.is_dir()]
    if not tables:
        raise UsageError(f"no dataset of a model lies in {options.root}; name the --output of regenerate")
    with ThreadPoolExecutor() as pool:
        found = list(
            pool.map(lambda of_model: _found(of_model[0], of_model[1], options.wiki, options.rev_id), tables)
        )
    problems = [problem for _, of_model in found for problem in of_model]
    for (model, _), (rows, _) in zip(tables, found, strict=True):
        for row in rows:
            print(orjson.dumps(row).decode() if options.json else _line(model.name, row))
    for problem in problems:
        print(problem, file=sys.stderr)
    if not any(rows for rows, _ in found):
        but = f", but {counted(len(problems), 'file')} cannot be read" if problems else ""
        print(
            f"no model has a score of revision {options.rev_id} of {options.wiki} in {options.root}{but}",
            file=sys.stderr,
        )
    return 0 if any(rows for rows, _ in found) and not problems else 1


def _found(model: Model, table: Place, wiki: str, rev_id: int) -> tuple[Sequence[_Row], Sequence[str]]:
    """The scores of a revision, and what files cannot be read."""
    try:
        files = sorted(map(address_of, files_below(table)))
    except OSError as error:
        return [], [f"{error.filename or table}: cannot be read: {os_reason(error)}"]
    others = [file for file in files if not name_of(file).endswith(".parquet")]
    if others and len(others) == len(files):
        raise UsageError(f"{table} is not in Parquet, which alone can be searched")
    if others:
        return _file_by_file(model, files, wiki, rev_id)
    try:
        return _rows(model, files, wiki, rev_id)
    except (pa.ArrowException, OSError, ValueError):  # of one file, whose name it may not say
        return _file_by_file(model, files, wiki, rev_id)


def _file_by_file(
    model: Model, files: Sequence[str], wiki: str, rev_id: int
) -> tuple[Sequence[_Row], Sequence[str]]:
    rows: list[_Row] = []
    problems: list[str] = []
    for file in files:
        try:
            found, bad = _rows(model, [file], wiki, rev_id)
            rows += found
            problems += bad
        except (pa.ArrowException, OSError, ValueError) as error:
            problems.append(f"{file}: cannot be read: {error}")
    return rows, problems


def _rows(model: Model, files: Sequence[str], wiki: str, rev_id: int) -> tuple[Sequence[_Row], Sequence[str]]:
    """The rows of a revision, and what is wrong with those that are no events. Raises what pyarrow raises for
    a file that it cannot read."""
    if not files:
        return [], []
    paths, filesystem = for_arrow(files)
    dataset = pads.dataset(
        paths, schema=schemas.arrow_schema(model.schema), format="parquet", filesystem=filesystem
    )
    if model.schema == schemas.REVISION_SCORE:
        wanted = (pc.field("rev_id") == rev_id) & (pc.field("database") == wiki)
    else:
        wanted = (pc.field("revision", "rev_id") == rev_id) & (pc.field("wiki_id") == wiki)
    found = [
        row
        for batch in dataset.to_table(filter=wanted).to_batches()
        for row in schemas.events_of_batch(batch)
    ]
    bad = [
        f"a score of {model.name} cannot be read: {row}" for row in found if isinstance(row, schemas.BadRow)
    ]
    return [row for row in found if not isinstance(row, schemas.BadRow)], bad


def _line(model: str, row: _Row) -> str:
    said = read_prediction(row, model)
    probability = sorted(dict(said.probabilities).items(), key=lambda item: -item[1])
    likely = ", ".join(f"{label} {value:.3f}" for label, value in probability[:_SHOWN]) + (
        ", …" if len(probability) > _SHOWN else ""
    )
    return f"{model:<16}  {said.model_version:<10}{', '.join(said.predictions):<30}{likely}  ({row['dt']})"
