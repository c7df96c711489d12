"""The command `scores`: what all models said of one revision, found in the datasets by the statistics of
their row groups."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

import schemas
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import DatasetsOptions
from pipeline.console.columns import counted
from pipeline.options import directory, flag, option
from pipeline.usage_error import UsageError
from transforms.datasets.filesystem import for_arrow, name_of
from transforms.datasets.manifests import files_below
from transforms.datasets.storage_paths import Place, address_of, os_reason
from transforms.events.prediction_summary import read_prediction
from transforms.models.model import Model

_SHOWN = 3
_Row = Mapping[str, Any]


class Revision(NamedTuple):
    """A revision of a wiki."""

    wiki: str  # database name
    rev_id: int

    def filter_for(self, schema: str) -> pc.Expression:
        """Returns what finds its rows in a table of events of a schema."""
        if schema == schemas.REVISION_SCORE:
            return (pc.field("rev_id") == self.rev_id) & (pc.field("database") == self.wiki)
        return (pc.field("revision", "rev_id") == self.rev_id) & (pc.field("wiki_id") == self.wiki)


class _Found(NamedTuple):
    """Scores of a revision, and what could not be read of where they may be."""

    rows: list[_Row]
    problems: list[str]


@dataclass(frozen=True, kw_only=True)
class Options(DatasetsOptions):
    root: Place = option(
        "root", type=directory, metavar="ROOT", help="the --output of regenerate, in Parquet"
    )
    wiki: str = option("--wiki", required=True, metavar="WIKI", help="database name, such as enwiki")
    rev_id: int = option("--rev-id", required=True, type=int, metavar="N")
    json: bool = flag("--json", help="the score events, a line each")


def run(options: Options) -> int:
    """Prints a line for each score. Returns 1 when there is none, or a file cannot be read."""
    configuration = load_with(options.models, options.overrides)
    models = options.models_there(configuration.models.values())
    wanted = Revision(options.wiki, options.rev_id)
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda model: _find(model, options.root, wanted), models))
    for model, scores in zip(models, found, strict=True):
        for row in scores.rows:
            print(orjson.dumps(row).decode() if options.json else _line(model.name, row))
    problems = [problem for scores in found for problem in scores.problems]
    for problem in problems:
        print(problem, file=sys.stderr)
    if any(scores.rows for scores in found):
        return 1 if problems else 0
    but = f", but {counted(len(problems), 'file')} cannot be read" if problems else ""
    none = f"no model has a score of revision {options.rev_id} of {options.wiki} in {options.root}"
    print(none + but, file=sys.stderr)
    return 1


def _find(model: Model, root: Place, revision: Revision) -> _Found:
    """Returns a model's scores of a revision. Raises UsageError for a table in another format."""
    table = root / schemas.table_name(model.stream)
    try:
        files = sorted(map(address_of, files_below(table)))
    except OSError as error:
        return _Found([], [f"{error.filename or table}: cannot be read: {os_reason(error)}"])
    others = [file for file in files if not name_of(file).endswith(".parquet")]
    if others and len(others) == len(files):
        raise UsageError(f"{table} is not in Parquet, which alone can be searched")
    if others:
        return _file_by_file(model, files, revision)
    try:
        return _rows(model, files, revision)
    except (pa.ArrowException, OSError, ValueError):  # of one file, whose name it may not say
        return _file_by_file(model, files, revision)


def _file_by_file(model: Model, files: Sequence[str], revision: Revision) -> _Found:
    found = _Found([], [])
    for file in files:
        try:
            in_file = _rows(model, [file], revision)
        except (pa.ArrowException, OSError, ValueError) as error:
            found.problems.append(f"{file}: cannot be read: {error}")
        else:
            found.rows.extend(in_file.rows)
            found.problems.extend(in_file.problems)
    return found


def _rows(model: Model, files: Sequence[str], revision: Revision) -> _Found:
    """Returns the rows of a revision; those that are no events are problems. Raises what pyarrow raises for a
    file that it cannot read."""
    if not files:
        return _Found([], [])
    paths, filesystem = for_arrow(files)
    dataset = pads.dataset(
        paths, schema=schemas.arrow_schema(model.schema), format="parquet", filesystem=filesystem
    )
    found = _Found([], [])
    for batch in dataset.to_table(filter=revision.filter_for(model.schema)).to_batches():
        for row in schemas.events_of_batch(batch):
            if isinstance(row, schemas.BadRow):
                found.problems.append(f"a score of {model.name} cannot be read: {row}")
            else:
                found.rows.append(row)
    return found


def _line(model: str, row: _Row) -> str:
    prediction = read_prediction(row, model)
    probabilities = sorted(dict(prediction.probabilities).items(), key=lambda item: -item[1])
    likely = ", ".join(f"{label} {value:.3f}" for label, value in probabilities[:_SHOWN]) + (
        ", …" if len(probabilities) > _SHOWN else ""
    )
    version, predictions = prediction.model_version, ", ".join(prediction.predictions)
    return f"{model:<16}  {version:<10}{predictions:<30}{likely}  ({row['dt']})"
