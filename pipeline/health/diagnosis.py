"""What is wrong with a stream, a sentence each, by what Flink, Kafka and the disk tell of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pipeline.health.conditions import ILL, STOPPED, Condition, Facts, duration
from pipeline.health.flink_facts import FlinkFacts
from pipeline.health.history import History
from pipeline.health.model_conditions import ModelConditions
from pipeline.health.sink_conditions import sink_conditions
from transforms.delivery.waiting_deliveries import gauge_name

_NO_CHECKPOINT_S = 120.0
_LOOP, _LOOP_S = 3, 600.0
_STARTED = ("RUNNING", "INITIALIZING", "CREATED")
_RESTARTED_S = 15.0  # that a restart is told of, which may be over before anybody looks
_FAR_BEHIND, _CAUGHT_UP = 1_000, 500
_GRACE_S = 60.0  # of a job that has just been started, for its processes


class Diagnosis:
    """Finds the conditions of a stream with these models, which writes to these topics, out of its facts over
    a minute."""

    def __init__(self, models: Collection[str], topics: Collection[str] = ()) -> None:
        self.models = sorted(models)
        self._topics = {gauge_name("", topic): topic for topic in topics}
        self._history = History()
        self._of_models = ModelConditions(self.models, self._history)
        self._is_behind = False

    def of(self, facts: Facts) -> list[Condition]:
        """The gravest first."""
        if self._history.add(facts):
            self._of_models.forget_answers()
        found = [*self._of_kafka(facts), *self._of_flink(facts), *_of_room(facts)]
        if facts.kafka and facts.kafka.trouble:
            self._of_models.forget_answers()
        else:
            found += [
                *self._of_models.of(facts),
                *sink_conditions(facts, self._history, self._topics),
            ]
        return sorted(found, key=lambda condition: condition.severity != STOPPED)

    def _of_kafka(self, facts: Facts) -> Iterator[Condition]:
        kafka = facts.kafka
        if kafka is None:
            return
        if kafka.trouble:
            yield Condition(
                ("kafka",),
                STOPPED,
                f"Kafka is away: {kafka.trouble}; the stream waits for it",
                "Kafka answers again",
            )
            return
        for topic in kafka.missing:
            yield Condition(
                ("topic", topic),
                ILL,
                f"the broker has no topic {topic}; what goes there waits",
                f"the broker has the topic {topic} again",
            )
        behind, before = kafka.behind, self._history.behind_before()
        if self._is_behind:
            self._is_behind = behind >= _CAUGHT_UP and (before is None or behind >= 0.9 * before)
        else:
            self._is_behind = behind >= _FAR_BEHIND and before is not None and behind >= before
        if self._is_behind:
            worst = max(kafka.lag, key=lambda place: kafka.lag[place])
            where = f"{kafka.lag[worst]:,} of them in {worst.topic}/{worst.number}"
            yield Condition(
                ("lag",),
                ILL,
                f"the stream is {behind:,} events behind and does not catch up, {where}",
                "the stream catches up",
            )

    def _of_flink(self, facts: Facts) -> Iterator[Condition]:
        flink = facts.flink
        if flink is None:
            return
        if flink.trouble:
            yield Condition(
                ("flink",), STOPPED, f"{flink.trouble}; nothing is scored until then", "Flink runs the job"
            )
            return
        if flink.task_managers == 0:
            yield Condition(
                ("task managers",),
                STOPPED,
                "Flink has no TaskManager, and waits for one; nothing is scored until then",
                "Flink has a TaskManager again",
            )
        elif flink.state in ("RESTARTING", "FAILING", "FAILED") or (
            flink.state in _STARTED and 0 <= facts.at - flink.failed_at < _RESTARTED_S
        ):
            yield Condition(
                ("restart", flink.why),
                STOPPED,
                f"Flink starts the job again: {flink.why or 'it does not say why'}",
                "the job runs again",
            )
        elif (
            flink.state in ("INITIALIZING", "CREATED")
            and facts.at - max(flink.started_at, flink.failed_at) > _GRACE_S
        ):
            since = facts.at - max(flink.started_at, flink.failed_at)
            text = (
                f"the job has been starting for {duration(since)}: its processes are not up yet, or "
                "restore its state"
            )
            yield Condition(("starting",), STOPPED, text, "the job runs")
        elif flink.state not in _STARTED:
            yield Condition(
                ("state", flink.state), STOPPED, f"the job is {flink.state}", "the job runs again"
            )
        if flink.task_managers and self._restarts(flink, facts.at) >= _LOOP:
            text = (
                f"the job restarts again and again, {flink.restarts} times or more in ten minutes, last "
                f"because: {flink.why}"
            )
            yield Condition(("loop",), STOPPED, text, "the job has not restarted for ten minutes")
        since = max(flink.last_checkpoint or 0.0, flink.started_at)
        if flink.task_managers and facts.at - since > _NO_CHECKPOINT_S:
            yield Condition(
                ("checkpoint",),
                ILL,
                f"no checkpoint was completed for {duration(facts.at - since)}",
                "a checkpoint was completed",
            )
        if lost := self._history.grown("ReadEvents_lost_expired"):
            yield Condition(
                ("lost",),
                ILL,
                f"{lost:,} events are lost, as Kafka had removed them before they were read",
                "no more events are lost",
            )
        unforeseen = sum(self._history.grown(name) for name in flink.metrics if name.endswith("_unforeseen"))
        if unforeseen:
            ended = (
                "1 event ended as a failure"
                if unforeseen == 1
                else f"{unforeseen:,} events ended as failures"
            )
            text = (
                f"{ended} by an exception that nobody foresaw; the log of the TaskManager has its traceback"
            )
            yield Condition(("unforeseen",), ILL, text, "no more exceptions that nobody foresaw")

    @staticmethod
    def _restarts(flink: FlinkFacts, now: float) -> int:
        return flink.restarts if now - flink.failed_at < _LOOP_S else 0


def _of_room(facts: Facts) -> Iterator[Condition]:
    if facts.room and facts.room.is_nearly_full:
        full = "full" if facts.room.is_too_small else "nearly full"
        yield Condition(
            ("room", full),
            STOPPED if facts.room.is_too_small else ILL,
            f"the disk of --state is {full}: {facts.room}",
            "the disk of --state has room again",
        )
