"""What is to be done for the units of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pipeline.batch.missing_scores import UnitKey
from transforms.datasets.manifests import MadeOf


class Keeps(Enum):
    """Which rows of a partition stay beside the new ones."""

    ALL = "all"
    OTHER_WIKIS = "those of wikis that the run is not about"
    NONE = "none"


@dataclass(frozen=True)
class Task:
    """What is to be done for a unit."""

    ids: frozenset[str] | None  # the `meta.id`s of the scores to ask for; None: all that the input asks for
    keeps: Keeps
    made_of: MadeOf  # what is true of the partition then
    # rows that stay though nothing asks for them, by wiki
    unwanted: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Plan:
    """What is to be done for the units of some partitions."""

    whole: set[UnitKey] = field(default_factory=set)
    tasks: dict[UnitKey, Task] = field(default_factory=dict)
    blocked: dict[UnitKey, str] = field(default_factory=dict)  # nothing can be written there, and why
    remarks: list[str] = field(default_factory=list)
    unwanted: Counter[UnitKey] = field(default_factory=Counter)  # rows that stay though nothing asks for them
    # rows of the input that are no events, by partition, as manifests know them
    failures: dict[str, Counter[str]] = field(default_factory=dict)
    # partition, and the file as manifests have it
    inputs: list[tuple[str | None, Mapping[str, Any]]] = field(default_factory=list)
    # whether the input has what cannot be read or is no event, of which the run has to tell
    has_trouble: bool = False

    def note_unwanted(self, unit: UnitKey, rows: Mapping[str, int], scope: frozenset[str] | None) -> None:
        """Notes how many rows of a unit nothing asks for, of the wikis that the run is about (`scope`; None:
        all). `rows`: how many of each wiki."""
        if count := sum(count for wiki, count in rows.items() if scope is None or wiki in scope):
            self.unwanted[unit] = count

    def asks(self, partition: str) -> bool:
        """Returns whether the input of the partition has to go through the steps."""
        tasks = [task for (_, of_task), task in self.tasks.items() if of_task == partition]
        return any(task.ids is None or task.ids for task in tasks) or (bool(tasks) and self.has_trouble)
