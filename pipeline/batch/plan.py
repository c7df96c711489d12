"""What a run of `regenerate` has to do: each unit, a model and a partition, is compared with what its input,
rule and wikis ask for now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.batch.holes import BackfillList, UnitKey, WantedScores
from pipeline.batch.made_of import input_entry, made_of
from pipeline.batch.tasks import Keeps, Plan, Task
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.event_files import InputFile
from transforms.datasets.journal import ScoredBefore
from transforms.datasets.manifests import FoundPartition, MadeOf, find_partition, partitions_in
from transforms.datasets.places import Place, address_of, each_at, os_reason, sizes_in
from transforms.datasets.stored_rows import score_of, scores_in, wiki_of_failure
from transforms.datasets.unit_commit import Unit
from transforms.events.parsing import NotAnEventError
from transforms.events.source_events import wiki_of
from transforms.models.model import Configuration, Model

OF_SCORES = frozenset(
    {"meta", "database", "wiki_id", "rev_id", "revision", "scores", "predicted_classification"}
)


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
        plan, to_look = (
            Plan(inputs=[(file.partition, input_entry(file)) for file in files]),
            dict[UnitKey, FoundPartition](),
        )
        units = [
            (name, partition)
            for name in configuration.models
            for partition in partitions or self._known_partitions(name)
        ]
        there = each_at(self.writer.root, lambda unit: find_partition(self.writer.partition(*unit)), units)
        for unit, found in zip(units, there, strict=True):
            made_of = self._made_of(plan, configuration.models[unit[0]], unit[1])
            if compared := self._plan_unit(plan, unit, made_of, found):
                to_look[unit] = compared
        if to_look:
            self._look(plan, configuration, files, to_look)
        return plan

    def task(self, plan: Plan, model: Model, partition: str) -> Task:
        """Returns the task of a unit; of one that nobody knew of, to make it."""
        return plan.tasks.get((model.name, partition)) or Task(
            None, Keeps.NONE, self._made_of(plan, model, partition)
        )

    def done(self, plan: Plan) -> ScoredBefore:
        """Tells the steps which scores not to ask for."""
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
    ) -> FoundPartition | None:
        """Plans a unit by its manifest; returns the partition when its rows have to be looked at."""
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
            self._plan_overwrite(plan, unit, made_of, found)
        elif found.differences(made_of, self.scope):
            return found
        else:
            return self._plan_failures(plan, unit, made_of, found)
        return None

    def _plan_failures(
        self, plan: Plan, unit: UnitKey, made_of: MadeOf, found: FoundPartition
    ) -> FoundPartition | None:
        """Of a partition that is as it would be made now, what failed is asked for again."""
        failed = [
            score for score in found.manifest["missing"] if self.scope is None or score["wiki"] in self.scope
        ]
        if any(score["id"] is None for score in failed):
            return found
        unwanted = dict(found.manifest.get("unwanted", {}))
        if failed or any(sizes_in(self.journals / unit[1] / unit[0])):
            ids = frozenset(score["id"] for score in failed)
            plan.tasks[unit] = Task(ids, Keeps.ALL, found.with_others(made_of, self.scope), unwanted)
        else:
            plan.whole.add(unit)
        self._note(plan, unit, unwanted)
        plan.failures[unit[1]] = Counter(found.manifest.get("unusable_events", {}))
        return None

    def _plan_backfill(
        self, plan: Plan, unit: UnitKey, made_of: MadeOf, found: FoundPartition | None
    ) -> None:
        ids = (self.backfill or BackfillList({})).ids.get(unit)
        if not ids:
            plan.whole.add(unit)
        elif problem := self._unreadable(unit, found):
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

    def _plan_overwrite(self, plan: Plan, unit: UnitKey, made_of: MadeOf, found: FoundPartition) -> None:
        if self.scope is None:
            plan.tasks[unit] = Task(None, Keeps.NONE, made_of)
        elif problem := self._unreadable(unit, found):
            plan.blocked[unit] = (
                f"{problem}, and there may be other wikis than those of --wikis in it; say --overwrite "
                "without --wikis"
            )
        else:
            plan.tasks[unit] = Task(
                None,
                Keeps.OTHER_WIKIS,
                found.with_others(made_of, self.scope),
                self._of_others(found, made_of),
            )

    def _unreadable(self, unit: UnitKey, found: FoundPartition | None) -> str:
        """Why the rows of a partition that is not as it was written cannot be read; empty when they can."""
        if found and found.damage:
            try:
                for _ in scores_in(self.writer.partition(*unit), unit[0], OF_SCORES):
                    pass
            except (NotAnEventError, OSError) as error:
                return str(error)
        return ""

    def _look(
        self,
        plan: Plan,
        configuration: Configuration,
        files: Sequence[InputFile],
        units: Mapping[UnitKey, FoundPartition],
    ) -> None:
        """Plans units by their rows: what the input asks for and is not there is to be asked for."""
        there = {
            unit: wikis for unit in units if (wikis := self._wikis_by_id(plan, unit, units[unit])) is not None
        }
        wanted = WantedScores(
            replace(configuration, models={name: configuration.models[name] for name, _ in units})
        )
        ids: dict[UnitKey, set[str]] = {unit: set() for unit in there}
        partitions = {None, *(partition for _, partition in units)}
        for score in wanted.of([file for file in files if file.partition in partitions]):
            if score.place.unit in ids:
                ids[score.place.unit].add(score.id)
        plan.has_trouble = bool(wanted.unreadable or wanted.unusable)
        for unit, wikis in there.items():
            made_of = self._made_of(plan, configuration.models[unit[0]], unit[1])
            unwanted = Counter(self._of_others(units[unit], made_of))
            unwanted.update(
                wiki
                for name, wiki in wikis.items()
                if name not in ids[unit] and (self.scope is None or wiki in self.scope)
            )
            plan.tasks[unit] = Task(
                frozenset(ids[unit] - wikis.keys()),
                Keeps.ALL,
                units[unit].with_others(made_of, self.scope),
                unwanted,
            )
            self._note(plan, unit, unwanted)
        for unit in units.keys() - there.keys() - plan.blocked.keys():
            plan.tasks[unit] = Task(
                None, Keeps.NONE, self._made_of(plan, configuration.models[unit[0]], unit[1])
            )

    def _wikis_by_id(self, plan: Plan, unit: UnitKey, found: FoundPartition) -> Mapping[str, str] | None:
        """The scores that are there; None when they cannot be read, and the unit is made anew."""
        partition = self.writer.partition(*unit)
        try:
            rows = {row["meta"]["id"]: wiki_of(row) for row in scores_in(partition, unit[0], OF_SCORES)}
        except NotAnEventError as error:
            plan.remarks.append(f"{error}; the partition is made anew")
            return None
        except OSError as error:
            plan.blocked[unit] = f"{partition}: cannot be read: {os_reason(error)}"
            return None
        if found.damage:
            plan.remarks.append(f"{found.damage}; what is missing in the partition is asked for")
        return rows

    def _of_others(self, found: FoundPartition, made_of: MadeOf) -> Mapping[str, int]:
        """Rows of other wikis than the run's that nothing asked for when they were looked at."""
        if self.scope is None or set(found.differences(made_of, self.scope)) - {"wikis"}:
            return {}
        return {
            wiki: count
            for wiki, count in found.manifest.get("unwanted", {}).items()
            if wiki not in self.scope
        }

    def _note(self, plan: Plan, unit: UnitKey, unwanted: Mapping[str, int]) -> None:
        if count := sum(
            count for wiki, count in unwanted.items() if self.scope is None or wiki in self.scope
        ):
            plan.unwanted[unit] = count
