"""What became of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.batch.missing_scores import UnitKey


@dataclass
class CallTimes:
    """How long the calls of a model took, in milliseconds."""

    count: int = 0
    sum: int = 0
    max: int = 0

    @property
    def mean(self) -> float:
        return self.sum / self.count


@dataclass
class Outcome:
    """What became of a run."""

    counters: Counter[str] = field(default_factory=Counter)  # by step and name
    failures: Counter[str] = field(default_factory=Counter)  # by reason, of what no other try can mend
    # by model and partition, the reasons
    unfinished: dict[UnitKey, Counter[str]] = field(default_factory=dict)
    # what of the input could not be read, by reason the partitions
    unread: Counter[str] = field(default_factory=Counter)
    unwanted: Counter[UnitKey] = field(default_factory=Counter)  # rows that stay though nothing asks for them
    ended: str = ""  # why nothing was asked any more, as no model that was asked gave a score
    call_ms: dict[str, CallTimes] = field(default_factory=dict)  # by model

    def add_job(self, counters: Counter[str], call_ms: Mapping[str, tuple[int, int, int]]) -> None:
        """Adds the metrics of a job; `call_ms`: by model the number of calls, their sum and the longest, in
        milliseconds."""
        self.counters += counters
        for name, (count, total, most) in call_ms.items():
            times = self.call_ms.setdefault(name, CallTimes())
            times.count, times.sum, times.max = times.count + count, times.sum + total, max(times.max, most)

    @property
    def is_incomplete(self) -> bool:
        """Returns whether some of what was asked for is no score."""
        return bool(self.failures or self.unfinished or self.unread)
