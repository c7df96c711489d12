"""The command `audit`: which scores a dataset should have and has not, or has of an older version of the
model; and what of either cannot be read."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import orjson

from pipeline.batch.holes import Hole, Place, UnitKey, Wanted, WantedScores
from pipeline.batch.input_files import input_files, print_left_out
from pipeline.batch.made_of import input_entry, made_of, program_of
from pipeline.batch.plan import OF_SCORES
from pipeline.config.overrides import load_with, names_in
from pipeline.config.shared_options import EventFilesOptions, SomeWikisOptions
from pipeline.console.columns import counted, print_columns
from pipeline.options import check_reached, directory, flag, option
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.event_files import InputFile
from transforms.datasets.manifests import FoundPartition, find_partition, partitions_in
from transforms.datasets.places import Place as DatasetPlace
from transforms.datasets.units import failures_in, score_of, scores_in
from transforms.events.parsing import NotAnEventError
from transforms.events.score_events import read_prediction
from transforms.events.source_events import wiki_of
from transforms.models.model import Configuration, Model

_PROBLEMS_SHOWN = 100
_WHY = ("missing", "failed", "older")
_DIFFERENCES = {
    "unread": "input of which a file could not be read",
    "inputs": "other input files",
    "rule": "another rule",
    "wikis": "other wikis",
    "manifest": "unknown input: whole, as 0.1 wrote it",
}


@dataclass(frozen=True, kw_only=True)
class Options(EventFilesOptions, SomeWikisOptions):
    scores: DatasetPlace = option(
        "--scores", type=directory, required=True, metavar="DIR", help="the --output of regenerate"
    )
    list: Path | None = option(
        "--list", type=Path, metavar="FILE", help="where to write each hole, for regenerate --missing"
    )
    json: bool = flag("--json", help="a line for each model, wiki and partition")


def run(options: Options) -> int:
    """Prints what there should be and what there is. Gives 1 when there are holes, or something cannot be
    read."""
    configuration = load_with(options.models, options.overrides)
    check_reached(options.scores, "--scores")
    found = input_files(configuration, options)
    print_left_out(found)
    if not options.scores.is_dir():
        raise UsageError(f"--scores: no such directory: {options.scores}")
    scope = frozenset(names_in(options.wikis)) if options.wikis is not None else None
    streams = {model.name: model.stream for model in configuration.models.values()}
    audit = Audit(
        configuration,
        DatasetWriter(options.scores, streams=streams, failure_stream=configuration.failure_stream),
        scope,
    )
    audit.read(found.files)
    if options.list:
        _write_list(options.list, audit.holes)
    counts = Counter((hole.place, hole.why) for hole in audit.holes)
    (_print_json if options.json else _print_table)(audit.expected, counts)
    for line in audit.account():
        print(line, file=sys.stderr if options.json else sys.stdout)
    return 1 if audit.holes or audit.problems or found.may_miss_events else 0


def _write_list(path: Path, holes: Sequence[Hole]) -> None:
    try:
        path.write_bytes(
            b"".join(orjson.dumps(hole.as_json(), option=orjson.OPT_APPEND_NEWLINE) for hole in holes)
        )
    except OSError as error:
        raise UsageError(f"--list: {path} cannot be written: {error.strerror}") from error


@dataclass
class Audit:
    """Holds a dataset against the events in files. `scope`: the wikis that it is about; None: all."""

    configuration: Configuration
    dataset: DatasetWriter
    scope: frozenset[str] | None = None
    expected: Counter[Place] = field(default_factory=Counter)
    holes: list[Hole] = field(default_factory=list)
    problems: dict[str, None] = field(default_factory=dict)  # what cannot be read, each once, in order
    # partitions by what they were made of other than now
    made_of: Counter[str] = field(default_factory=Counter)
    unwanted: Counter[str] = field(default_factory=Counter)  # rows that nothing asks for, by model

    def __post_init__(self) -> None:
        self._program = program_of(self.configuration)

    def read(self, files: Sequence[InputFile]) -> None:
        newest = {name: self._newest_versions(model) for name, model in self.configuration.models.items()}
        wanted = WantedScores(self.configuration)
        for partition, group in _groups(files):
            units: dict[UnitKey, dict[str, Wanted]] = (
                {(name, partition): {} for name in self.configuration.models} if partition else {}
            )
            for score in wanted.of(group):
                units.setdefault(score.place.unit, {})[score.id] = score
            failed = {place: self._failures(place) for _, place in units}
            for unit, scores in units.items():
                self._compare(unit, scores, self._versions(unit, group, scores), failed[unit[1]], newest)
        self.problems |= dict.fromkeys(text for texts in wanted.unreadable.values() for text in texts)
        self.problems |= {
            f"{reason} ({counted(count, 'row')})": None for reason, count in wanted.unusable.items()
        }

    def account(self) -> Iterator[str]:
        """Yields a line for each thing that cannot be read, then what else is to be known."""
        if self.problems:
            yield f"\n{counted(len(self.problems), 'thing')} cannot be read, or not as it was written:"
            yield from islice(self.problems, _PROBLEMS_SHOWN)
            if len(self.problems) > _PROBLEMS_SHOWN:
                yield f"and {len(self.problems) - _PROBLEMS_SHOWN:,} others"
        for difference, count in sorted((+self.made_of).items()):
            yield (
                f"{counted(count, 'partition')} made of {_DIFFERENCES[difference]}; regenerate --resume "
                "adds what that lacks"
            )
        for model, count in sorted((+self.unwanted).items()):
            yield (
                f"{counted(count, 'row')} of {model} that nothing asks for any more; regenerate "
                "--overwrite removes them"
            )

    def _compare(
        self,
        unit: UnitKey,
        scores: Mapping[str, Wanted],
        versions: Mapping[str, str],
        failed: Mapping[str, set[str | None]],
        newest: Mapping[str, Mapping[str, str]],
    ) -> None:
        for name, score in scores.items():
            self.expected[score.place] += 1
            if name not in versions:
                self.holes.append(
                    Hole(score.place, score.rev_id, name, "failed" if name in failed[unit[0]] else "missing")
                )
            elif versions[name] != newest[unit[0]].get(score.place.wiki):
                self.holes.append(Hole(score.place, score.rev_id, name, "older"))

    def _versions(
        self, unit: UnitKey, files: Sequence[InputFile], scores: Mapping[str, Wanted]
    ) -> Mapping[str, str]:
        """The version of each score of a unit that is there; none where they cannot be read."""
        name, partition = unit
        place, model = self.dataset.partition(name, partition), self.configuration.models[name]
        found = find_partition(place)
        if found is None:
            return {}
        versions: dict[str, str] = {}
        try:
            for row in scores_in(place, name, OF_SCORES):
                versions[row["meta"]["id"]] = read_prediction(row, name).model_version
                self.unwanted[name] += row["meta"]["id"] not in scores and (
                    self.scope is None or wiki_of(row) in self.scope
                )
        except (NotAnEventError, OSError) as error:
            self._note(f"{error}; regenerate --resume makes the partition anew")
            return {}
        self._note_origin(found, model, partition, files)
        return versions

    def _note_origin(
        self, found: FoundPartition, model: Model, partition: str, files: Sequence[InputFile]
    ) -> None:
        if found.damage:
            self._note(f"{found.damage}; regenerate --resume puts it right")
        entries = [input_entry(file) for file in files if file.partition in (None, partition)]
        for difference in found.differences(made_of(model, entries, self._program), self.scope):
            self.made_of[difference] += difference in _DIFFERENCES

    def _failures(self, partition: str) -> Mapping[str, set[str | None]]:
        """The scores that failed, by model."""
        failed: dict[str, set[str | None]] = {name: set() for name in self.configuration.models}
        try:
            for row in failures_in(self.dataset.failures(partition)):
                for name, model in self.configuration.models.items():
                    if score := score_of(row, model):
                        failed[name].add(score)
        except (NotAnEventError, OSError) as error:
            self._note(f"{error}; what failed there is counted as missing")
        return failed

    def _newest_versions(self, model: Model) -> dict[str, str]:
        """By wiki, the version of the score that was written last."""
        newest: dict[str, tuple[str, str]] = {}
        table = self.dataset.table(model.name)
        try:
            for partition in partitions_in(table):
                try:
                    for row in scores_in(table / partition, model.name, OF_SCORES):
                        found = row["meta"]["dt"], read_prediction(row, model.name).model_version
                        newest[wiki_of(row)] = max(newest.get(wiki_of(row), found), found)
                except NotAnEventError as error:
                    self._note(f"{error}; regenerate --resume makes the partition anew")
        except OSError as error:
            self._note(f"{table}: cannot be read: {error.strerror}")
        return {wiki: version for wiki, (_, version) in newest.items()}

    def _note(self, problem: str) -> None:
        self.problems[problem] = None


def _groups(files: Sequence[InputFile]) -> Iterator[tuple[str | None, list[InputFile]]]:
    """One partition's files after the other's; all at once where a place does not tell the partition."""
    groups: dict[str | None, list[InputFile]] = {}
    in_heap = any(file.partition is None for file in files)
    for file in files:
        groups.setdefault(None if in_heap else file.partition, []).append(file)
    yield from groups.items()


def _print_json(expected: Counter[Place], holes: Counter[tuple[Place, str]]) -> None:
    for place, count in sorted(expected.items()):
        print(
            orjson.dumps(
                {**place._asdict(), "expected": count, **{why: holes[place, why] for why in _WHY}}
            ).decode()
        )


def _print_table(expected: Counter[Place], holes: Counter[tuple[Place, str]]) -> None:
    """A line for each model and wiki with holes, and one for all of each model."""
    rows: list[Sequence[object]] = []
    for model in sorted({place.model for place in expected}):
        of_model = {place: count for place, count in expected.items() if place.model == model}
        wikis = sorted({place.wiki for place, _ in holes if place.model == model})
        for wiki in [*wikis, "all"]:
            places = [place for place in of_model if wiki in ("all", place.wiki)]
            counts = [sum(holes[place, why] for place in places) for why in _WHY]
            with_holes = len({place.partition for place in places if any(holes[place, why] for why in _WHY)})
            rows.append([model, wiki, sum(of_model[place] for place in places), *counts, with_holes])
    print_columns(
        ["model", "wiki", "expected", *_WHY, "partitions with holes"], rows, right=["expected", *_WHY]
    )
