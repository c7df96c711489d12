"""What a run of `regenerate` has to do: each unit, a model and a partition, is compared with what its input,
rule and wikis ask for now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.batch.missing_scores import BackfillList, UnitKey, WantedScores
from pipeline.batch.provenance import input_entry, made_of
from pipeline.batch.row_plan import RowPlanner, StoredUnit, why_unreadable
from pipeline.batch.tasks import Keeps, Plan, Task
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.event_files import InputFile
from transforms.datasets.manifests import FoundPartition, MadeOf, find_partition, partitions_in
from transforms.datasets.partition_commit import Unit
from transforms.datasets.scored_before import ScoredBefore
from transforms.datasets.storage_paths import Place, address_of, each_at, os_reason, sizes_in
from transforms.datasets.stored_rows import score_of, wiki_of_failure
from transforms.events.source_events import wiki_of
from transforms.models.model import Configuration, Model


@dataclass(frozen=True)
class Planner:
    """Compares what there is with what a run is to make. `scope`: the wikis that the run is about; None:
    all."""

    writer: DatasetWriter
    run: str
    overwrite: bool
    program: Mapping[str, Any]  # what else tells which scores are wanted: see `program_of`
    scope: frozenset[str] | None = None
    backfill: BackfillList | None = None  # the only work, if given

    @property
    def journals(self) -> Place:
        return self.writer.working / "journals"

    def plan(
        self, configuration: Configuration, files: Sequence[InputFile], partitions: Sequence[str]
    ) -> Plan:
        """Returns what is to be done. `partitions`: those of the files; none where their places do not tell.
        Raises UsageError when the dataset cannot be looked at."""
        try:
            return self._plan(configuration, files, partitions)
        except OSError as error:
            raise UsageError(
                f"--output: {error.filename or self.writer.root} cannot be read: {os_reason(error)}"
            ) from error

    def _plan(
        self, configuration: Configuration, files: Sequence[InputFile], partitions: Sequence[str]
    ) -> Plan:
        plan = Plan(inputs=[(file.partition, input_entry(file)) for file in files])
        units = [
            (name, partition)
            for name in configuration.models
            for partition in partitions or self._known_partitions(name)
        ]
        there = each_at(self.writer.root, lambda unit: find_partition(self.writer.partition(*unit)), units)
        to_read: list[StoredUnit] = []
        for unit, found in zip(units, there, strict=True):
            made_of = self._made_of(plan, configuration.models[unit[0]], unit[1])
            if stored := self._plan_unit(plan, unit, made_of, found):
                to_read.append(stored)
        if to_read:
            models = {unit.model: configuration.models[unit.model] for unit in to_read}
            wanted = WantedScores(replace(configuration, models=models))
            RowPlanner(self.writer, self.scope, plan).plan_units(to_read, wanted, files)
        return plan

    def task(self, plan: Plan, model: Model, partition: str) -> Task:
        """Returns the task of a unit; of one that nobody knew of, to make it."""
        return plan.tasks.get((model.name, partition)) or Task(
            None, Keeps.NONE, self._made_of(plan, model, partition)
        )

    def done(self, plan: Plan) -> ScoredBefore:
        """Returns what tells the steps which scores not to ask for."""
        only = {unit: task.ids for unit, task in plan.tasks.items() if task.ids is not None}
        return ScoredBefore(
            address_of(self.journals),
            self.writer.streams,
            frozenset(plan.whole | plan.blocked.keys()),
            only,
            self.backfill is None,
        )

    def unit(self, task: Task, model: Model, partition: str, about: Mapping[str, Any]) -> Unit:
        """Returns the unit as it is to be committed."""
        return Unit(
            model,
            partition,
            self.journals / partition / model.name,
            self._keeps(task),
            self._keeps_failure(task, model),
            task.keeps is Keeps.ALL,
            {"run": self.run, **task.made_of.as_json(), "unwanted": task.unwanted, **about},
        )

    def _keeps(self, task: Task) -> Callable[[Mapping[str, Any]], bool] | None:
        if task.keeps is Keeps.OTHER_WIKIS:
            return lambda row: wiki_of(row) not in (self.scope or ())
        return (lambda row: True) if task.keeps is Keeps.ALL else None

    def _keeps_failure(self, task: Task, model: Model) -> Callable[[Mapping[str, Any]], bool]:
        if self.backfill:
            return lambda row: score_of(row, model) not in (task.ids or ())
        return lambda row: self.scope is not None and wiki_of_failure(row) not in self.scope

    def _made_of(self, plan: Plan, model: Model, partition: str) -> MadeOf:
        return made_of(
            model, [entry for place, entry in plan.inputs if place in (None, partition)], self.program
        )

    def _known_partitions(self, model: str) -> list[str]:
        if self.backfill:
            return sorted({partition for of_model, partition in self.backfill.ids if of_model == model})
        return partitions_in(self.writer.table(model))

    def _plan_unit(
        self, plan: Plan, unit: UnitKey, made_of: MadeOf, found: FoundPartition | None
    ) -> StoredUnit | None:
        """Plans a unit by its manifest; returns it when its rows have to be read for that."""
        if self.writer.is_on_another_device(self.writer.partition(*unit)):
            plan.blocked[unit] = (
                f"{self.writer.partition(*unit)} is on another file system than {self.writer.root}; write "
                "to each by itself"
            )
        elif self.backfill:
            self._plan_backfill(plan, unit, made_of, found)
        elif found is None:
            plan.tasks[unit] = Task(None, Keeps.NONE, made_of)
        elif self.overwrite and found.manifest.get("run") != self.run:
            self._plan_overwrite(plan, StoredUnit(unit, found, made_of))
        elif found.differences(made_of, self.scope):
            return StoredUnit(unit, found, made_of)
        else:
            return self._plan_failures(plan, StoredUnit(unit, found, made_of))
        return None

    def _plan_failures(self, plan: Plan, unit: StoredUnit) -> StoredUnit | None:
        """Has what failed asked for again, of a partition that is as it would be made now; returns the unit
        when its manifest does not tell what that is."""
        manifest = unit.found.manifest
        failed = [score for score in manifest["missing"] if self.scope is None or score["wiki"] in self.scope]
        if any(score["id"] is None for score in failed):
            return unit
        unwanted = dict(manifest.get("unwanted", {}))
        if failed or any(sizes_in(self.journals / unit.partition / unit.model)):
            ids = frozenset(score["id"] for score in failed)
            plan.tasks[unit.key] = Task(ids, Keeps.ALL, unit.with_others(self.scope), unwanted)
        else:
            plan.whole.add(unit.key)
        plan.note_unwanted(unit.key, unwanted, self.scope)
        plan.failures[unit.partition] = Counter(manifest.get("unusable_events", {}))
        return None

    def _plan_backfill(
        self, plan: Plan, unit: UnitKey, made_of: MadeOf, found: FoundPartition | None
    ) -> None:
        ids = (self.backfill or BackfillList({})).ids.get(unit)
        if not ids:
            plan.whole.add(unit)
        elif problem := why_unreadable(self.writer, unit, found):
            plan.blocked[unit] = f"{problem}; regenerate --resume makes the partition anew"
        elif found and found.is_known:
            there = found.manifest
            plan.tasks[unit] = Task(
                ids,
                Keeps.ALL,
                MadeOf(there["inputs"], there["rule"], there["wikis"]),
                there.get("unwanted", {}),
            )
        else:  # nothing is known of what the rest of it was made of
            plan.tasks[unit] = Task(ids, Keeps.ALL, replace(made_of, wikis={}))

    def _plan_overwrite(self, plan: Plan, unit: StoredUnit) -> None:
        if self.scope is None:
            plan.tasks[unit.key] = Task(None, Keeps.NONE, unit.made_of)
        elif problem := why_unreadable(self.writer, unit.key, unit.found):
            plan.blocked[unit.key] = (
                f"{problem}, and there may be other wikis than those of --wikis in it; say --overwrite "
                "without --wikis"
            )
        else:
            made_of, unwanted = unit.with_others(self.scope), unit.unwanted_of_others(self.scope)
            plan.tasks[unit.key] = Task(None, Keeps.OTHER_WIKIS, made_of, unwanted)
