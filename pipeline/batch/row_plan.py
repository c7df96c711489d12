"""What a run has to do for units that are not as they would be made now: their rows are compared with the
scores that the input asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.batch.missing_scores import UnitKey, WantedScores
from pipeline.batch.tasks import Keeps, Plan, Task
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.event_files import InputFile
from transforms.datasets.manifests import FoundPartition, MadeOf
from transforms.datasets.storage_paths import os_reason
from transforms.datasets.stored_rows import scores_in
from transforms.events.parsing import NotAnEventError
from transforms.events.source_events import wiki_of

OF_SCORES = frozenset(
    {"meta", "database", "wiki_id", "rev_id", "revision", "scores", "predicted_classification"}
)


@dataclass(frozen=True)
class StoredUnit:
    """A unit that is there. `scope` in its methods: the wikis that the run is about; None: all."""

    key: UnitKey
    found: FoundPartition
    made_of: MadeOf  # what its rows would follow from if they were made now

    @property
    def model(self) -> str:
        return self.key[0]

    @property
    def partition(self) -> str:
        return self.key[1]

    def with_others(self, scope: frozenset[str] | None) -> MadeOf:
        """Returns what is true of it when the rows of other wikis stay as they are."""
        return self.found.with_others(self.made_of, scope)

    def unwanted_of_others(self, scope: frozenset[str] | None) -> Mapping[str, int]:
        """Returns by wiki how many rows of other wikis than the run's nothing asked for when they were looked
        at."""
        if scope is None or set(self.found.differences(self.made_of, scope)) - {"wikis"}:
            return {}
        unwanted = self.found.manifest.get("unwanted", {})
        return {wiki: count for wiki, count in unwanted.items() if wiki not in scope}


@dataclass(frozen=True)
class RowPlanner:
    """Adds to a plan what is to be done for units, by their rows."""

    writer: DatasetWriter
    scope: frozenset[str] | None  # the wikis that the run is about; None: all
    plan: Plan

    def plan_units(
        self, units: Sequence[StoredUnit], wanted: WantedScores, files: Sequence[InputFile]
    ) -> None:
        """Has what the files ask for and is not there asked for; a unit that cannot be read is made anew."""
        there = {unit.key: wikis for unit in units if (wikis := self._wikis_by_id(unit)) is not None}
        ids: dict[UnitKey, set[str]] = {key: set() for key in there}
        partitions = {None, *(unit.partition for unit in units)}
        for score in wanted.of([file for file in files if file.partition in partitions]):
            if score.group.unit in ids:
                ids[score.group.unit].add(score.id)
        self.plan.has_trouble = bool(wanted.unreadable or wanted.unusable)
        for unit in units:
            if unit.key in there:
                self._add(unit, there[unit.key], ids[unit.key])
            elif unit.key not in self.plan.blocked:
                self.plan.tasks[unit.key] = Task(None, Keeps.NONE, unit.made_of)

    def _add(self, unit: StoredUnit, wikis: Mapping[str, str], wanted: set[str]) -> None:
        """Plans a unit that can be read, with the wikis of its rows by `meta.id`, and the `meta.id`s that are
        asked for."""
        unwanted = Counter(unit.unwanted_of_others(self.scope))
        unwanted.update(
            wiki
            for name, wiki in wikis.items()
            if name not in wanted and (self.scope is None or wiki in self.scope)
        )
        missing = frozenset(wanted - wikis.keys())
        self.plan.tasks[unit.key] = Task(missing, Keeps.ALL, unit.with_others(self.scope), unwanted)
        self.plan.note_unwanted(unit.key, unwanted, self.scope)

    def _wikis_by_id(self, unit: StoredUnit) -> Mapping[str, str] | None:
        """Returns the wiki of each score that is there, by its `meta.id`; None when they cannot be read, and
        the unit is made anew."""
        place = self.writer.partition(*unit.key)
        try:
            rows = {row["meta"]["id"]: wiki_of(row) for row in scores_in(place, unit.model, OF_SCORES)}
        except NotAnEventError as error:
            self.plan.remarks.append(f"{error}; the partition is made anew")
            return None
        except OSError as error:
            self.plan.blocked[unit.key] = f"{place}: cannot be read: {os_reason(error)}"
            return None
        if unit.found.damage:
            self.plan.remarks.append(f"{unit.found.damage}; what is missing in the partition is asked for")
        return rows


def why_unreadable(writer: DatasetWriter, unit: UnitKey, found: FoundPartition | None) -> str:
    """Returns why the rows of a partition that is not as it was written cannot be read; empty when they
    can."""
    if found and found.damage:
        try:
            for _ in scores_in(writer.partition(*unit), unit[0], OF_SCORES):
                pass
        except (NotAnEventError, OSError) as error:
            return str(error)
    return ""
