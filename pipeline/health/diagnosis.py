"""Finds what is wrong with a stream, a sentence each, by what Flink, Kafka and the disk tell of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pipeline.health.facts import Facts
from pipeline.health.flink_problems import flink_problems
from pipeline.health.history import History
from pipeline.health.kafka_problems import KafkaProblems
from pipeline.health.model_problems import ModelProblems
from pipeline.health.problems import ILL, STOPPED, Problem
from pipeline.health.sink_problems import sink_problems
from transforms.delivery.waiting_counts import gauge_name


class Diagnosis:
    """Finds the problems of a stream with these models, which writes to these topics, by its facts over a
    minute."""

    def __init__(self, models: Collection[str], topics: Collection[str] = ()) -> None:
        self.models = sorted(models)
        self._topics = {gauge_name("", topic): topic for topic in topics}
        self._history = History()
        self._of_kafka = KafkaProblems(self._history)
        self._of_models = ModelProblems(self.models, self._history)

    def find(self, facts: Facts) -> list[Problem]:
        """Returns what is wrong now, the gravest first; remembers the facts."""
        if self._history.add(facts):
            self._of_models.forget_answers()
        found = [*self._of_kafka.find(facts), *flink_problems(facts, self._history), *_of_room(facts)]
        if facts.kafka and facts.kafka.trouble:
            self._of_models.forget_answers()
        else:
            found += [
                *self._of_models.find(facts),
                *sink_problems(facts, self._history, self._topics),
            ]
        return sorted(found, key=lambda problem: problem.severity != STOPPED)


def _of_room(facts: Facts) -> Iterator[Problem]:
    if facts.room and facts.room.is_nearly_full:
        full = "full" if facts.room.is_too_small else "nearly full"
        yield Problem(
            ("room", full),
            STOPPED if facts.room.is_too_small else ILL,
            f"the disk of --state is {full}: {facts.room}",
            "the disk of --state has room again",
        )
