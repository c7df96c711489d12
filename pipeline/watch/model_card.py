"""What the page shows of one model: its card, and the lines of the last ten minutes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.watch.model_stats import ModelStats
from pipeline.watch.rolling_window import SLICE_S, RecentCounts, quantiles_of
from pipeline.watch.verdicts import ModelFacts, Verdict

RATE_SLICES = 2  # a rate is of the last ten seconds that are over
_MINUTE = 60 // SLICE_S
_MOST_REASONS = 5


def model_card(name: str, facts: ModelFacts, found: Verdict, now: float) -> dict[str, Any]:
    """Returns the figures of a model now, in plain values that JSON has."""
    stats, gauges = facts.stats, facts.gauges
    recent = stats.last(RATE_SLICES, now)
    return {
        "name": name,
        "state": found.state,
        "text": found.text,
        **{
            f"{what}_per_s": sum(getattr(each, what) for each in recent) / (RATE_SLICES * SLICE_S)
            for what in ("asked", "scored", "failed")
        },
        "waiting": stats.waiting,
        **{kind: round(gauges[kind]) if kind in gauges else None for kind in ("in_flight", "limit")},
        **_durations(facts, now),
        "failed": stats.failures.total.total(),
        "failures": main_reasons(stats.failures),
    }


def _durations(facts: ModelFacts, now: float) -> dict[str, Any]:
    """Returns seconds from edits to their scores, of Lift Wing's answers alone, and the difference; `old`:
    not of now."""
    p50, p99 = quantiles_of(facts.stats.last(_MINUTE, now))
    call_p50, call_p99 = (
        facts.gauges[kind] / 1000 if facts.gauges.get(kind) else None
        for kind in ("call_ms_p50", "call_ms_p99")
    )
    is_answering = any(each.scored for each in facts.stats.last(RATE_SLICES + 1, now))
    return {
        "old": not is_answering and (p50 is not None or call_p50 is not None),
        "p50_s": p50,
        "p99_s": p99,
        "call_p50_s": call_p50,
        "call_p99_s": call_p99,
        "added_p50_s": max(0.0, p50 - call_p50) if p50 is not None and call_p50 is not None else None,
    }


def main_reasons(counts: RecentCounts) -> list[tuple[str, int]]:
    """Returns the most frequent reasons of failures, and how many each has."""
    return counts.total.most_common(_MOST_REASONS)


def lines(stats: ModelStats, now: float) -> Mapping[str, list[float | None]]:
    """Returns by figure one number or nothing for every five seconds of the last ten minutes, the oldest
    first."""
    slices = stats.all(now)
    quantiles = [each.quantiles() for each in slices]
    return {
        "asked": [each.asked / SLICE_S for each in slices],
        "scored": [each.scored / SLICE_S for each in slices],
        "p50": [p50 for p50, _ in quantiles],
        "p99": [p99 for _, p99 in quantiles],
        "call_p50": [each.call_p50_s for each in slices],
        "call_p99": [each.call_p99_s for each in slices],
    }
