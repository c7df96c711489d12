"""Something that is wrong with a stream, and the facts by which it is found."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pipeline.health.flink_facts import FlinkFacts
from pipeline.health.kafka_facts import KafkaFacts
from pipeline.process.disk import Room

STOPPED, ILL = "stopped", "ill"  # nothing goes on; a part of it
_STEPS_THAT_FAIL = ("ReadEvents", "SelectModels", "BuildRevisionScore", "WritePerModel")


@dataclass(frozen=True)
class Facts:
    """All that is known at a time, seconds since the epoch. None: nobody looked."""

    at: float
    flink: FlinkFacts | None = None
    kafka: KafkaFacts | None = None
    room: Room | None = None


@dataclass(frozen=True)
class Condition:
    """Something that is wrong, and the same for as long as its `key` is.

    `of`: models it is about; none when it is about the whole stream.
    """

    key: tuple[str, ...]
    severity: str
    text: str
    over: str  # what is said when it is over
    of: frozenset[str] = field(default_factory=frozenset)


def counts(facts: FlinkFacts, models: Collection[str]) -> Mapping[str, int]:
    """Of the job since it was last started: events that came (canary events are none), scores that were
    built, failures of any step."""
    failures = {step: facts.count(f"{step}_failures") for step in _STEPS_THAT_FAIL}
    of_models = sum(facts.count(f"ScoreWithLiftWing_failures_{model}") for model in models)
    return {
        "events": facts.count("ReadEvents_events") + failures["ReadEvents"],
        "scores": sum(facts.count(f"BuildRevisionScore_scores_{model}") for model in models),
        "failures": sum(failures.values()) + of_models,
    }


def duration(seconds: float) -> str:
    """Such as: 0.34 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds >= 1 else f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
