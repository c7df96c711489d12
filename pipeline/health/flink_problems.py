"""What is wrong with the job of a stream, by what Flink tells of it."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.health.facts import Facts, FlinkFacts
from pipeline.health.history import History
from pipeline.health.problems import ILL, STOPPED, Problem
from pipeline.times import duration

_NO_CHECKPOINT_S = 120.0
_LOOP, _LOOP_S = 3, 600.0
_STARTING = ("INITIALIZING", "CREATED")
_STARTED = ("RUNNING", *_STARTING)
_RESTARTING = ("RESTARTING", "FAILING", "FAILED")
_RESTARTED_S = 15.0  # that a restart is told of, which may be over before anybody looks
_GRACE_S = 60.0  # of a job that has just been started, for its processes


def flink_problems(facts: Facts, history: History) -> Iterator[Problem]:
    """Yields what is wrong with the job, by a stream's facts, which are in its history already."""
    flink = facts.flink
    if flink is None:
        return
    if flink.trouble:
        yield Problem(
            ("flink",), STOPPED, f"{flink.trouble}; nothing is scored until then", "Flink runs the job"
        )
        return
    yield from _of_state(flink, facts.at)
    yield from _of_restarts(flink, facts.at)
    yield from _of_checkpoints(flink, facts.at)
    yield from _of_events(flink, history)


def _of_state(flink: FlinkFacts, at: float) -> Iterator[Problem]:
    has_restarted = flink.state in _STARTED and 0 <= at - flink.failed_at < _RESTARTED_S
    starting_s = at - max(flink.started_at, flink.failed_at)
    if flink.task_managers == 0:
        text = "Flink has no TaskManager, and waits for one; nothing is scored until then"
        yield Problem(("task managers",), STOPPED, text, "Flink has a TaskManager again")
    elif flink.state in _RESTARTING or has_restarted:
        text = f"Flink starts the job again: {flink.why or 'it does not say why'}"
        yield Problem(("restart", flink.why), STOPPED, text, "the job runs again")
    elif flink.state in _STARTING and starting_s > _GRACE_S:
        text = (
            f"the job has been starting for {duration(starting_s)}: its processes are not up yet, or "
            "restore its state"
        )
        yield Problem(("starting",), STOPPED, text, "the job runs")
    elif flink.state not in _STARTED:
        yield Problem(("state", flink.state), STOPPED, f"the job is {flink.state}", "the job runs again")


def _of_restarts(flink: FlinkFacts, at: float) -> Iterator[Problem]:
    if flink.task_managers and flink.restarts >= _LOOP and at - flink.failed_at < _LOOP_S:
        text = (
            f"the job restarts again and again, {flink.restarts} times or more in ten minutes, last "
            f"because: {flink.why}"
        )
        yield Problem(("loop",), STOPPED, text, "the job has not restarted for ten minutes")


def _of_checkpoints(flink: FlinkFacts, at: float) -> Iterator[Problem]:
    since = max(flink.last_checkpoint or 0.0, flink.started_at)
    if flink.task_managers and at - since > _NO_CHECKPOINT_S:
        yield Problem(
            ("checkpoint",),
            ILL,
            f"no checkpoint was completed for {duration(at - since)}",
            "a checkpoint was completed",
        )


def _of_events(flink: FlinkFacts, history: History) -> Iterator[Problem]:
    if lost := history.grown("ReadEvents_lost_expired"):
        yield Problem(
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
        yield Problem(("unforeseen",), ILL, text, "no more exceptions that nobody foresaw")
