"""What is wrong with Kafka, and with how far the stream is behind, by what Kafka tells."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.health.facts import Facts, KafkaFacts
from pipeline.health.history import History
from pipeline.health.problems import ILL, STOPPED, Problem

_FAR_BEHIND, _CAUGHT_UP = 1_000, 500  # events
_NOT_LESS = 0.9  # of what it was half a minute ago: then it does not catch up


class KafkaProblems:
    """Finds the problems of Kafka out of a stream's facts, which are in its history already."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._is_behind = False

    def find(self, facts: Facts) -> Iterator[Problem]:
        """Yields what is wrong now."""
        kafka = facts.kafka
        if kafka is None:
            return
        if kafka.trouble:
            text = f"Kafka is away: {kafka.trouble}; the stream waits for it"
            yield Problem(("kafka",), STOPPED, text, "Kafka answers again")
            return
        for topic in kafka.missing:
            text = f"the broker has no topic {topic}; what goes there waits"
            yield Problem(("topic", topic), ILL, text, f"the broker has the topic {topic} again")
        self._note_behind(kafka.behind)
        if self._is_behind:
            yield _lag(kafka)

    def _note_behind(self, behind: int) -> None:
        before = self._history.behind_before()
        if self._is_behind:
            self._is_behind = behind >= _CAUGHT_UP and (before is None or behind >= _NOT_LESS * before)
        else:
            self._is_behind = behind >= _FAR_BEHIND and before is not None and behind >= before


def _lag(kafka: KafkaFacts) -> Problem:
    worst = max(kafka.lag, key=lambda partition: kafka.lag[partition])
    where = f"{kafka.lag[worst]:,} of them in {worst.topic}/{worst.number}"
    text = f"the stream is {kafka.behind:,} events behind and does not catch up, {where}"
    return Problem(("lag",), ILL, text, "the stream catches up")
