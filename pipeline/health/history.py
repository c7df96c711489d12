"""The facts of a stream over the last minute."""

from __future__ import annotations

from collections import deque

from pipeline.health.facts import Facts, FlinkFacts

_MINUTE_S, _HALF_A_MINUTE_S = 60.0, 30.0
_NOT_TAKEN_S = 10.0  # a stream that is slow for a moment is no trouble


class History:
    """Remembers facts for a minute, and compares the latest with those before."""

    def __init__(self) -> None:
        self._facts: deque[Facts] = deque()

    def add(self, facts: Facts) -> bool:
        """Returns whether they are of another job than those before, which are forgotten then: it counts from
        nothing."""
        before = self._facts[-1].flink if self._facts else None
        is_another = bool(facts.flink and before and before.job_id != facts.flink.job_id)
        if is_another:
            self._facts.clear()
        self._facts.append(facts)
        while self._facts[0].at < facts.at - _MINUTE_S:
            self._facts.popleft()
        return is_another

    def flink_before(self) -> FlinkFacts | None:
        """Returns what Flink told before the latest time."""
        return self._facts[-2].flink if len(self._facts) > 1 else None

    def spans_half_a_minute(self) -> bool:
        """Returns whether there are facts of half a minute ago."""
        return self._facts[0].at < self._facts[-1].at - _HALF_A_MINUTE_S

    def behind_before(self) -> int | None:
        """Returns how many events the stream was behind half a minute ago."""
        now = self._facts[-1].at
        old = [
            each
            for each in self._facts
            if each.at <= now - _HALF_A_MINUTE_S and each.kafka and not each.kafka.trouble
        ]
        return old[-1].kafka.behind if old and old[-1].kafka else None

    def lasts(self, name: str) -> bool:
        """Returns whether a gauge has not been 0 for ten seconds."""
        now = self._facts[-1].at
        recent = [
            each
            for each in self._facts
            if each.at >= now - _NOT_TAKEN_S - 1 and each.flink and not each.flink.trouble
        ]
        return recent[0].at <= now - _NOT_TAKEN_S + 1 and all(
            each.flink.count(name) for each in recent if each.flink
        )

    def grown(self, name: str) -> int:
        """Returns by how much a counter grew within the last minute; one that is new grew from nothing."""
        of_flink = [each.flink for each in self._facts if each.flink and not each.flink.trouble]
        return max(0, of_flink[-1].count(name) - of_flink[0].count(name)) if of_flink else 0
