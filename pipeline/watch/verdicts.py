"""How a model is, in a word and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.health.problems import Problem
from pipeline.times import duration
from pipeline.watch.health_poller import Gauges
from pipeline.watch.of_model import OfModel
from pipeline.watch.recent import SLICE_S, quantiles_of

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


def verdict(
    model: OfModel, endpoints: int, is_parked: bool, timeout_s: float, gauges: Gauges, now: float
) -> Verdict:
    """What to know first of a model with so many endpoints; `gauges` is empty where Flink tells nothing."""
    if is_parked:
        kept = f"{_waiting(model, now)}; none is lost" if model.waiting else "no edit waits"
        return Verdict("parked", f"Parked in the models file (concurrency: 0): {kept}.")
    is_silent = model.silent_since is not None and _is_silent(
        now - model.silent_since, model.since_answer, timeout_s
    )
    no_answer = f"No answer for {duration(now - (model.silent_since or now))}. " if is_silent else ""
    if broken := round(gauges.get("broken", 0)):
        which = (
            "It gives no sign of life, and gets"
            if endpoints == 1
            else f"{broken} of its {endpoints} endpoints give no sign of life, and get"
        )
        return Verdict(
            "broken",
            f"{no_answer}{which} a probe now and then. {_waiting(model, now).capitalize()}; none is lost.",
        )
    if is_silent:
        return Verdict("silent", f"{no_answer}{_waiting(model, now).capitalize()}.")
    minute = model.last(_MINUTE, now)
    failed, answers = sum(each.failed for each in minute), sum(each.failed + each.scored for each in minute)
    if failed >= 2 and failed > _FAILING * answers:
        reason, _ = model.failures.total.most_common(1)[0]
        return Verdict(
            "failing",
            f"{failed} of the {answers} answers of the last minute are failures, most of them: {reason}.",
        )
    return _by_time(model, timeout_s, now)


def of_cause(model: str, stream: str, problems: Sequence[Problem]) -> Verdict | None:
    """What is known to be wrong with a model alone, or else with its stream; the text has no full stop."""
    for problem in problems:
        if problem.of == {model}:
            return Verdict(problem.key[2], _capitalized(problem.text.partition(": ")[2]))
    for problem in problems:
        if problem.key[0] == "stream" and problem.key[1].partition(".")[2] == stream:
            return Verdict("refused", _capitalized(problem.text))
    return None


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _is_silent(seconds: float, edits: int, timeout_s: float) -> bool:
    return seconds > timeout_s or (seconds > _SILENT_S and edits >= _SILENT_EDITS)


def _by_time(model: OfModel, timeout_s: float, now: float) -> Verdict:
    last, _ = quantiles_of(model.last(_HALF_A_MINUTE, now))
    usual, late = quantiles_of(model.all(now))
    if last is not None and usual is not None and last > max(_SLOW_S, _SLOWER * usual):
        return Verdict(
            "slow",
            f"Slower than usual: half of the scores take more than {duration(last)}, in the last ten "
            f"minutes {duration(usual)}.",
        )
    if model.waiting_since is not None and now - model.waiting_since > 2 * timeout_s:
        return Verdict("slow", f"Some calls are tried again: {_waiting(model, now)}.")
    if usual is not None:
        return Verdict(
            "ok",
            f"Half of the scores come within {duration(usual)} of the edit, 99 of 100 within "
            f"{duration(late or usual)}.",
        )
    if model.waiting:
        return Verdict("ok", f"{_waiting(model, now).capitalize()}.")
    asked = any(each.asked for each in model.all(now))
    return Verdict(
        "idle",
        "All that was asked of it is answered." if asked else "No edit asked for it in the last ten minutes.",
    )


def in_short(model: OfModel, now: float) -> str:
    """How many edits wait, as a sentence."""
    return _waiting(model, now).capitalize()


def _waiting(model: OfModel, now: float) -> str:
    """Such as: 12 edits wait, the oldest for 34 s."""
    if model.waiting_since is None:
        return "no edit waits"
    edits = "1 edit waits," if model.waiting == 1 else f"{model.waiting:,} edits wait, the oldest"
    return f"{edits} for {duration(now - model.waiting_since)}"
