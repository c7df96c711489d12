"""The command `audit`: which scores a dataset should have and has not, or has of an older version of the
model; and what of either cannot be read."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from pipeline.batch.input_files import input_files, print_left_out
from pipeline.batch.missing_scores import Hole, ScoreGroup
from pipeline.commands.audit_comparison import Comparison
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import EventFilesOptions, SomeWikisOptions
from pipeline.console.columns import print_columns
from pipeline.options import check_reached, directory, flag, option
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.storage_paths import Place

_WHY = ("missing", "failed", "older")


@dataclass(frozen=True, kw_only=True)
class Options(EventFilesOptions, SomeWikisOptions):
    scores: Place = option(
        "--scores", type=directory, required=True, metavar="DIR", help="the --output of regenerate"
    )
    list: Path | None = option(
        "--list", type=Path, metavar="FILE", help="where to write each hole, for regenerate --missing"
    )
    json: bool = flag("--json", help="a line for each model, wiki and partition")


def run(options: Options) -> int:
    """Prints what there should be and what there is. Returns 1 when there are holes, or something cannot be
    read."""
    configuration = load_with(options.models, options.overrides)
    check_reached(options.scores, "--scores")
    found = input_files(configuration, options)
    print_left_out(found)
    if not options.scores.is_dir():
        raise UsageError(f"--scores: no such directory: {options.scores}")
    models = configuration.models.values()
    dataset = DatasetWriter.of_models(options.scores, models, configuration.failure_stream)
    comparison = Comparison(configuration, dataset, options.scope)
    comparison.read(found.files)
    if options.list:
        _write_list(options.list, comparison.holes)
    counts = Counter((hole.group, hole.why) for hole in comparison.holes)
    (_print_json if options.json else _print_table)(comparison.expected, counts)
    for line in comparison.account():
        print(line, file=sys.stderr if options.json else sys.stdout)
    return 1 if comparison.holes or comparison.problems or found.may_miss_events else 0


def _write_list(path: Path, holes: Sequence[Hole]) -> None:
    try:
        path.write_bytes(
            b"".join(orjson.dumps(hole.as_json(), option=orjson.OPT_APPEND_NEWLINE) for hole in holes)
        )
    except OSError as error:
        raise UsageError(f"--list: {path} cannot be written: {error.strerror}") from error


def _print_json(expected: Counter[ScoreGroup], holes: Counter[tuple[ScoreGroup, str]]) -> None:
    for group, count in sorted(expected.items()):
        print(
            orjson.dumps(
                {**group._asdict(), "expected": count, **{why: holes[group, why] for why in _WHY}}
            ).decode()
        )


def _print_table(expected: Counter[ScoreGroup], holes: Counter[tuple[ScoreGroup, str]]) -> None:
    """Prints a line for each model and wiki with holes, and one for all of each model."""
    rows: list[Sequence[object]] = []
    for model in sorted({group.model for group in expected}):
        of_model = {group: count for group, count in expected.items() if group.model == model}
        wikis = sorted({group.wiki for group, _ in holes if group.model == model})
        for wiki in [*wikis, "all"]:
            groups = [group for group in of_model if wiki in ("all", group.wiki)]
            counts = [sum(holes[group, why] for group in groups) for why in _WHY]
            with_holes = len({group.partition for group in groups if any(holes[group, why] for why in _WHY)})
            rows.append([model, wiki, sum(of_model[group] for group in groups), *counts, with_holes])
    print_columns(
        ["model", "wiki", "expected", *_WHY, "partitions with holes"], rows, right=["expected", *_WHY]
    )
