"""The facts about a stream by which problems are found: what Flink, Kafka and the disk tell at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.process.disk import Room

_STEPS_THAT_FAIL = ("ReadEvents", "SelectModels", "BuildRevisionScore", "WritePerModel")


class Metric(NamedTuple):
    """A metric of a step: its sum and its most over all subtasks."""

    total: float
    most: float


@dataclass(frozen=True)
class FlinkFacts:
    """`trouble` says why nothing else is known. Times are seconds since the epoch."""

    trouble: str = ""
    job_id: str = ""
    state: str = ""
    why: str = ""  # the last failure of the job, in a line
    failed_at: float = 0.0
    started_at: float = 0.0
    restarts: int = 0  # that Flink remembers
    task_managers: int = 0
    last_checkpoint: float | None = None
    failed_checkpoints: int = 0
    metrics: Mapping[str, Metric] = field(default_factory=dict)  # by step and name, such as ReadEvents_events

    def count(self, name: str) -> int:
        """Returns what a counter has counted since the job was last started, or a gauge's sum of now."""
        return round(self.metrics[name].total) if name in self.metrics else 0

    def of_model(self, kind: str, model: str) -> int:
        """Returns a count of ScoreWithLiftWing's for a model, such as in_flight."""
        return self.count(f"ScoreWithLiftWing_{kind}_{model}")


class Partition(NamedTuple):
    topic: str
    number: int


@dataclass(frozen=True)
class KafkaFacts:
    """`trouble` says why nothing else is known."""

    trouble: str = ""
    missing: Sequence[str] = ()  # topics that the broker has not
    # messages that the group has not read as of its last checkpoint
    lag: Mapping[Partition, int] = field(default_factory=dict)

    @property
    def behind(self) -> int:
        """How many messages the group has not read, of all topics."""
        return sum(self.lag.values())


@dataclass(frozen=True)
class Facts:
    """All that is known at a time, seconds since the epoch. None: not looked at."""

    at: float
    flink: FlinkFacts | None = None
    kafka: KafkaFacts | None = None
    room: Room | None = None


def counts(facts: FlinkFacts, models: Collection[str]) -> Mapping[str, int]:
    """Returns what the job has counted since it was last started: events (canary events are not counted),
    scores that were built, failures of any step."""
    failures = {step: facts.count(f"{step}_failures") for step in _STEPS_THAT_FAIL}
    of_models = sum(facts.of_model("failures", model) for model in models)
    return {
        "events": facts.count("ReadEvents_events") + failures["ReadEvents"],
        "scores": sum(facts.count(f"BuildRevisionScore_scores_{model}") for model in models),
        "failures": sum(failures.values()) + of_models,
    }
