"""Says how a model is, in a word and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.health.problems import Problem
from pipeline.times import duration
from pipeline.watch.health_poller import Gauges
from pipeline.watch.model_stats import ModelStats
from pipeline.watch.rolling_window import SLICE_S, quantiles_of

_MINUTE, _HALF_A_MINUTE = 60 // SLICE_S, 30 // SLICE_S
_SILENT_S, _SILENT_EDITS = 10.0, 3  # no answer for so long, while so many edits wait that came meanwhile
_FAILING = 0.05  # of the answers of a minute
_SLOWER, _SLOW_S = 3.0, 2.0  # times as long as in the last ten minutes, and no trifle


@dataclass(frozen=True)
class Verdict:
    """`state`: ok, idle, slow, failing, refused where its scores go, silent, broken, parked, or waiting as
    the whole stream does."""

    state: str
    text: str


@dataclass(frozen=True)
class ModelFacts:
    """What the page knows of a model: the figures of its topics, how many endpoints are active, and its
    gauges, none where Flink tells nothing."""

    stats: ModelStats
    endpoints: int
    is_parked: bool
    gauges: Gauges


def verdict(facts: ModelFacts, timeout_s: float, now: float) -> Verdict:
    """Returns what to know first of a model whose calls time out after so long."""
    stats = facts.stats
    if facts.is_parked:
        kept = f"{_waiting(stats, now)}; none is lost" if stats.waiting else "no edit waits"
        return Verdict("parked", f"Parked in the models file (concurrency: 0): {kept}.")
    silence = _silence(stats, timeout_s, now)
    waiting = _waiting(stats, now).capitalize()
    if broken := round(facts.gauges.get("broken", 0)):
        return Verdict("broken", f"{silence}{_broken(broken, facts.endpoints)}. {waiting}; none is lost.")
    if silence:
        return Verdict("silent", f"{silence}{waiting}.")
    return _by_failures(stats, now) or _by_time(stats, timeout_s, now)


def verdict_by_problems(model: str, stream: str, problems: Sequence[Problem]) -> Verdict | None:
    """Returns what is known to be wrong with a model alone, or else with its stream; the text has no full
    stop."""
    for problem in problems:
        if problem.models == {model}:
            return Verdict(problem.key[2], _capitalized(problem.text.partition(": ")[2]))
    for problem in problems:
        if problem.key[0] == "stream" and problem.key[1].partition(".")[2] == stream:
            return Verdict("refused", _capitalized(problem.text))
    return None


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _silence(stats: ModelStats, timeout_s: float, now: float) -> str:
    """Returns a sentence, and a space after it, about a model that is silent; nothing about another."""
    if stats.silent_since is None:
        return ""
    seconds = now - stats.silent_since
    is_silent = seconds > timeout_s or (seconds > _SILENT_S and stats.since_answer >= _SILENT_EDITS)
    return f"No answer for {duration(seconds)}. " if is_silent else ""


def _broken(broken: int, endpoints: int) -> str:
    which = (
        "It gives no sign of life, and gets"
        if endpoints == 1
        else f"{broken} of its {endpoints} endpoints give no sign of life, and get"
    )
    return f"{which} a probe now and then"


def _by_failures(stats: ModelStats, now: float) -> Verdict | None:
    minute = stats.last(_MINUTE, now)
    failed, answers = sum(each.failed for each in minute), sum(each.failed + each.scored for each in minute)
    if failed < 2 or failed <= _FAILING * answers:
        return None
    reason, _ = stats.failures.total.most_common(1)[0]
    return Verdict(
        "failing",
        f"{failed} of the {answers} answers of the last minute are failures, most of them: {reason}.",
    )


def _by_time(stats: ModelStats, timeout_s: float, now: float) -> Verdict:
    last, _ = quantiles_of(stats.last(_HALF_A_MINUTE, now))
    usual, late = quantiles_of(stats.all(now))
    if last is not None and usual is not None and last > max(_SLOW_S, _SLOWER * usual):
        return Verdict(
            "slow",
            f"Slower than usual: half of the scores take more than {duration(last)}, in the last ten "
            f"minutes {duration(usual)}.",
        )
    if stats.waiting_since is not None and now - stats.waiting_since > 2 * timeout_s:
        return Verdict("slow", f"Some calls are tried again: {_waiting(stats, now)}.")
    if usual is not None:
        return Verdict(
            "ok",
            f"Half of the scores come within {duration(usual)} of the edit, 99 of 100 within "
            f"{duration(late or usual)}.",
        )
    if stats.waiting:
        return Verdict("ok", f"{_waiting(stats, now).capitalize()}.")
    asked = any(each.asked for each in stats.all(now))
    return Verdict(
        "idle",
        "All that was asked of it is answered." if asked else "No edit asked for it in the last ten minutes.",
    )


def waiting_sentence(stats: ModelStats, now: float) -> str:
    """Returns how many edits wait, as a sentence without a full stop."""
    return _waiting(stats, now).capitalize()


def _waiting(stats: ModelStats, now: float) -> str:
    """Returns how many edits wait, such as: 12 edits wait, the oldest for 34 s."""
    if stats.waiting_since is None:
        return "no edit waits"
    edits = "1 edit waits," if stats.waiting == 1 else f"{stats.waiting:,} edits wait, the oldest"
    return f"{edits} for {duration(now - stats.waiting_since)}"
