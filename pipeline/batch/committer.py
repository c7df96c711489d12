"""Commits partitions, each with all its models: what journals have of it becomes its rows and its
failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any

from pipeline.batch.plan import Planner
from pipeline.batch.tasks import Plan
from transforms.datasets.journal import NO_MODEL, UNKNOWN, entries, journals
from transforms.datasets.partition_commit import UnitIncompleteError, add_failures, commit_unit
from transforms.datasets.storage_paths import subfolders
from transforms.events.error_events import alike
from transforms.events.parsing import NotAnEventError
from transforms.models.model import Configuration


@dataclass(frozen=True)
class Committed:
    """What became of a partition."""

    partition: str
    over: Sequence[str] = ()  # its journals of which all is in the dataset now
    # by model, of what is not whole: how many elements have to be tried again, by reason
    unfinished: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)  # by reason, of what no other try can mend
    unread: Mapping[str, int] = field(default_factory=dict)  # what of its input could not be read, by reason


@dataclass(frozen=True)
class Committer:
    """Makes partitions of what is planned and what journals have."""

    planner: Planner
    configuration: Configuration
    asked: frozenset[str]  # the models that are asked still
    plan: Plan
    is_placed: bool  # whether the places of the input files tell their partitions

    def partitions(self) -> list[str]:
        """Returns those that are planned, and those that have journals."""
        return sorted({*self.planned, *(partition for partition, _, _ in journals(self.planner.journals))})

    @cached_property
    def planned(self) -> Mapping[str, set[str]]:
        """Returns the models to commit by partition: those with a task; where places tell no partitions,
        those to which nothing is added, as the journals tell of the others."""
        planned: dict[str, set[str]] = {}
        for (model, partition), task in self.plan.tasks.items():
            if self.is_placed or task.ids is not None:
                planned.setdefault(partition, set()).add(model)
        return planned

    def commit(self, partition: str) -> Committed:
        """Commits a partition, and returns what became of it. A model of which it cannot be made whole keeps
        what it has. May be repeated: journals stay."""
        unread, unusable_events = self._without_model(partition)
        unusable, over = Counter[str](), list[str]()
        try:
            if unusable_events:
                add_failures(self.planner.writer, partition, unusable_events)
        except (NotAnEventError, OSError) as error:
            unread[f"the failure table cannot be written: {error}"] += 1
        else:
            unusable.update(map(alike, unusable_events.values()))
            over.append(NO_MODEL)
        failures, unfinished = Counter(unusable), dict[str, Counter[str]]()
        about = self._about(unusable or self.plan.failures.get(partition, Counter()), unread)
        for name in sorted(self._models(partition)):
            try:
                failures += self._commit_unit(name, partition, about)
            except UnitIncompleteError as error:
                unfinished[name] = error.reasons
            else:
                over.append(name)
        return Committed(partition, over, unfinished, failures, unread)

    def _about(self, unusable_events: Counter[str], unread: Counter[str]) -> Mapping[str, Any]:
        """Returns what the manifests of a partition say whatever the model."""
        return {
            "lift_wing": self.configuration.lift_wing.url,
            "revision_scores": version("revision-scores"),
            "unusable_events": unusable_events,
            "unread": [*(unread + self.unread_anywhere)],
        }

    def _commit_unit(self, name: str, partition: str, about: Mapping[str, Any]) -> Counter[str]:
        """Returns its failures by reason. Raises UnitIncompleteError."""
        model = self.configuration.models[name]
        task = self.planner.task(self.plan, model, partition)
        if name not in self.asked and (task.ids != frozenset() or self.plan.asks(partition)):
            raise UnitIncompleteError(Counter(["not asked any more"]))
        unit = self.planner.unit(task, model, partition, {"stream": model.stream, **about})
        return commit_unit(self.planner.writer, unit)

    def _models(self, partition: str) -> set[str]:
        models = set(self.planned.get(partition, ()))
        if not self.is_placed:
            models |= set(subfolders(self.planner.journals / partition)) & self.configuration.models.keys()
        return {
            model
            for model in models
            if (model, partition) not in self.plan.whole and (model, partition) not in self.plan.blocked
        }

    def _without_model(self, partition: str) -> tuple[Counter[str], dict[str, Mapping[str, Any]]]:
        """Returns, of what failed before there was a model, what of the input could not be read, by reason,
        and the failures of events, by their `meta.id`."""
        failed = list(entries(self.planner.journals / partition / NO_MODEL))
        unread = Counter(alike(entry.body) for entry in failed if entry.retryable)
        return unread, {entry.body["meta"]["id"]: entry.body for entry in failed if not entry.retryable}

    @cached_property
    def unread_anywhere(self) -> Counter[str]:
        """Returns what of the input could not be read and may be of any partition, by reason."""
        return self._without_model(UNKNOWN)[0]
