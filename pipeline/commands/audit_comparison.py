"""What `audit` compares: the scores that events ask for, and those that a dataset has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from pipeline.batch.missing_scores import Hole, ScoreGroup, UnitKey, Wanted, WantedScores
from pipeline.batch.provenance import input_entry, made_of, program_of
from pipeline.batch.row_plan import OF_SCORES
from pipeline.console.columns import counted
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.event_files import InputFile
from transforms.datasets.manifests import FoundPartition, find_partition, partitions_in
from transforms.datasets.stored_rows import failures_in, score_of, scores_in
from transforms.events.parsing import NotAnEventError
from transforms.events.prediction_summary import read_prediction
from transforms.events.source_events import wiki_of
from transforms.models.model import Configuration, Model

_PROBLEMS_SHOWN = 100
_DIFFERENCES = {
    "unread": "input of which a file could not be read",
    "inputs": "other input files",
    "rule": "another rule",
    "wikis": "other wikis",
    "manifest": "unknown input: whole, as 0.1 wrote it",
}


class _Stored(NamedTuple):
    """What a dataset has of a unit."""

    versions: Mapping[str, str]  # of the model, by the score's `meta.id`
    failed: Collection[str | None]  # `meta.id`s of the scores that failed
    newest: Mapping[str, str]  # the model's newest version, by wiki

    def why_hole(self, name: str, wiki: str) -> str | None:
        """Returns why the score with this `meta.id` is a hole, a `Hole.why`; None where it is none."""
        if name not in self.versions:
            return "failed" if name in self.failed else "missing"
        return "older" if self.versions[name] != self.newest.get(wiki) else None


@dataclass
class Comparison:
    """Compares a dataset with the events in files.

    `scope`: the wikis that are asked about, of which alone it is said what nothing asks for any more and what
    differs in rules; None: all.
    """

    configuration: Configuration
    dataset: DatasetWriter
    scope: frozenset[str] | None = None
    expected: Counter[ScoreGroup] = field(default_factory=Counter)
    holes: list[Hole] = field(default_factory=list)
    problems: dict[str, None] = field(default_factory=dict)  # what cannot be read, each once, in order
    # partitions by what they were made of other than now
    made_of: Counter[str] = field(default_factory=Counter)
    unwanted: Counter[str] = field(default_factory=Counter)  # rows that nothing asks for, by model

    def __post_init__(self) -> None:
        self._program = program_of(self.configuration)

    def read(self, files: Sequence[InputFile]) -> None:
        """Reads the events and the dataset, a partition after the other, and notes what differs."""
        newest = {
            name: self._read_newest_versions(model) for name, model in self.configuration.models.items()
        }
        wanted = WantedScores(self.configuration)
        for partition, group in _groups(files):
            units: dict[UnitKey, dict[str, Wanted]] = (
                {(name, partition): {} for name in self.configuration.models} if partition else {}
            )
            for score in wanted.of(group):
                units.setdefault(score.group.unit, {})[score.id] = score
            failed = {place: self._read_failures(place) for _, place in units}
            for unit, scores in units.items():
                name, of_partition = unit
                versions = self._read_versions(unit, group, scores)
                self._compare(scores, _Stored(versions, failed[of_partition][name], newest[name]))
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

    def _compare(self, scores: Mapping[str, Wanted], stored: _Stored) -> None:
        for name, score in scores.items():
            self.expected[score.group] += 1
            if why := stored.why_hole(name, score.group.wiki):
                self.holes.append(Hole(score.group, score.rev_id, name, why))

    def _read_versions(
        self, unit: UnitKey, files: Sequence[InputFile], scores: Mapping[str, Wanted]
    ) -> Mapping[str, str]:
        """Returns the model version of each score of a unit, by its `meta.id`; nothing where the unit is not
        there or cannot be read."""
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

    def _read_failures(self, partition: str) -> Mapping[str, set[str | None]]:
        """Returns the `meta.id`s of the scores that failed, by model."""
        failed: dict[str, set[str | None]] = {name: set() for name in self.configuration.models}
        try:
            for row in failures_in(self.dataset.failures(partition)):
                for name, model in self.configuration.models.items():
                    if score := score_of(row, model):
                        failed[name].add(score)
        except (NotAnEventError, OSError) as error:
            self._note(f"{error}; what failed there is counted as missing")
        return failed

    def _read_newest_versions(self, model: Model) -> dict[str, str]:
        """Returns the version of the score that was written last, by wiki."""
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
    """Yields the files of each partition; all at once where the place of one does not tell its partition."""
    groups: dict[str | None, list[InputFile]] = {}
    in_heap = any(file.partition is None for file in files)
    for file in files:
        groups.setdefault(None if in_heap else file.partition, []).append(file)
    yield from groups.items()
