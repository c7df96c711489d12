"""What is wrong with the job of a stream, by what Flink tells of it."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.health.conditions import ILL, STOPPED, Condition, Facts, duration
from pipeline.health.flink_facts import FlinkFacts
from pipeline.health.history import History

_NO_CHECKPOINT_S = 120.0
_LOOP, _LOOP_S = 3, 600.0
_STARTED = ("RUNNING", "INITIALIZING", "CREATED")
_RESTARTED_S = 15.0  # that a restart is told of, which may be over before anybody looks
_GRACE_S = 60.0  # of a job that has just been started, for its processes


def flink_conditions(facts: Facts, history: History) -> Iterator[Condition]:
    """Yields what is wrong by Flink's word; what has grown over a minute is in the history already."""
    flink = facts.flink
    if flink is None:
        return
    if flink.trouble:
        yield Condition(
            ("flink",), STOPPED, f"{flink.trouble}; nothing is scored until then", "Flink runs the job"
        )
        return
    yield from _of_state(flink, facts.at)
    yield from _of_restarts(flink, facts.at)
    yield from _of_checkpoints(flink, facts.at)
    yield from _of_events(flink, history)


def _of_state(flink: FlinkFacts, at: float) -> Iterator[Condition]:
    if flink.task_managers == 0:
        yield Condition(
            ("task managers",),
            STOPPED,
            "Flink has no TaskManager, and waits for one; nothing is scored until then",
            "Flink has a TaskManager again",
        )
    elif flink.state in ("RESTARTING", "FAILING", "FAILED") or (
        flink.state in _STARTED and 0 <= at - flink.failed_at < _RESTARTED_S
    ):
        yield Condition(
            ("restart", flink.why),
            STOPPED,
            f"Flink starts the job again: {flink.why or 'it does not say why'}",
            "the job runs again",
        )
    elif (
        flink.state in ("INITIALIZING", "CREATED") and at - max(flink.started_at, flink.failed_at) > _GRACE_S
    ):
        since = at - max(flink.started_at, flink.failed_at)
        text = (
            f"the job has been starting for {duration(since)}: its processes are not up yet, or "
            "restore its state"
        )
        yield Condition(("starting",), STOPPED, text, "the job runs")
    elif flink.state not in _STARTED:
        yield Condition(("state", flink.state), STOPPED, f"the job is {flink.state}", "the job runs again")


def _of_restarts(flink: FlinkFacts, at: float) -> Iterator[Condition]:
    if flink.task_managers and flink.restarts >= _LOOP and at - flink.failed_at < _LOOP_S:
        text = (
            f"the job restarts again and again, {flink.restarts} times or more in ten minutes, last "
            f"because: {flink.why}"
        )
        yield Condition(("loop",), STOPPED, text, "the job has not restarted for ten minutes")


def _of_checkpoints(flink: FlinkFacts, at: float) -> Iterator[Condition]:
    since = max(flink.last_checkpoint or 0.0, flink.started_at)
    if flink.task_managers and at - since > _NO_CHECKPOINT_S:
        yield Condition(
            ("checkpoint",),
            ILL,
            f"no checkpoint was completed for {duration(at - since)}",
            "a checkpoint was completed",
        )


def _of_events(flink: FlinkFacts, history: History) -> Iterator[Condition]:
    if lost := history.grown("ReadEvents_lost_expired"):
        yield Condition(
            ("lost",),
            ILL,
            f"{lost:,} events are lost, as Kafka had removed them before they were read",
            "no more events are lost",
        )
    unforeseen = sum(history.grown(name) for name in flink.metrics if name.endswith("_unforeseen"))
    if unforeseen:
        ended = (
            "1 event ended as a failure" if unforeseen == 1 else f"{unforeseen:,} events ended as failures"
        )
        text = f"{ended} by an exception that nobody foresaw; the log of the TaskManager has its traceback"
        yield Condition(("unforeseen",), ILL, text, "no more exceptions that nobody foresaw")
