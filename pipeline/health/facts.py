"""The facts about a stream by which problems are found."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pipeline.health.flink_facts import FlinkFacts
from pipeline.health.kafka_facts import KafkaFacts
from pipeline.process.disk import Room

_STEPS_THAT_FAIL = ("ReadEvents", "SelectModels", "BuildRevisionScore", "WritePerModel")


@dataclass(frozen=True)
class Facts:
    """All that is known at a time, seconds since the epoch. None: nobody looked."""

    at: float
    flink: FlinkFacts | None = None
    kafka: KafkaFacts | None = None
    room: Room | None = None


def counts(facts: FlinkFacts, models: Collection[str]) -> Mapping[str, int]:
    """Of the job since it was last started: events that came (canary events are none), scores that were
    built, failures of any step."""
    failures = {step: facts.count(f"{step}_failures") for step in _STEPS_THAT_FAIL}
    of_models = sum(facts.of_model("failures", model) for model in models)
    return {
        "events": facts.count("ReadEvents_events") + failures["ReadEvents"],
        "scores": sum(facts.count(f"BuildRevisionScore_scores_{model}") for model in models),
        "failures": sum(failures.values()) + of_models,
    }
