"""What the page is sent: all it shows now, once a second, and the lines of the last ten minutes, whenever five seconds are over."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.watch.gauges import FlinkGauges, Gauges
from pipeline.watch.messages import Messages
from pipeline.watch.of_model import OfModel
from pipeline.watch.recent import SLICE_S, RecentCounts, quantiles_of
from pipeline.watch.tally import Tally
from pipeline.watch.verdicts import duration, verdict
from transforms.models import Configuration

_RATE_SLICES = 2  # a rate is of the last ten seconds that are over
_MINUTE = 60 // SLICE_S
_BUSIEST, _MOST_REASONS = 15, 5
_QUIET_S = 60.0  # without an event; what all wikis of Wikimedia together are never
_FAR_BEHIND = 5_000  # messages

Board = dict[str, Any]


class BoardMaker:
    """Makes of the figures what is shown, in plain values that JSON has."""

    def __init__(self, configuration: Configuration, tally: Tally, messages: Messages, flink: FlinkGauges | None) -> None:
        self._configuration, self._tally, self._messages, self._flink = configuration, tally, messages, flink
        self.parked = {name for name in tally.models if all(endpoint.concurrency == 0 for endpoint in configuration.models[name].active)}

    def board(self, now: float) -> Board:
        gauges = self._flink.by_model if self._flink else {}
        models = [self._model(name, model, gauges.get(name, {}), now) for name, model in self._tally.models.items()]
        return {
            "at": now,
            "kafka": self._messages.address,
            "flink": self._flink.address if self._flink else None,
            "lift_wing": self._configuration.lift_wing.url,
            "notes": list(self._notes(now)),
            "events_per_s": self._tally.events.per_s(_RATE_SLICES, now),
            "models": models,
            "wikis": self._wikis(),
            "wikis_in_all": len(self._tally.edits.total),
            "latest": [dataclasses.asdict(score) for score in reversed(self._tally.latest)],
            "other_failures": _reasons(self._tally.without_model),
        }

    def lines(self, now: float) -> Board:
        """By model a list of each figure, a number or nothing for every five seconds of the last ten minutes, the oldest first."""
        return {"models": {name: _lines(model, now) for name, model in self._tally.models.items()}}

    def note_calls(self, now: float) -> None:
        """Keeps what Flink tells of Lift Wing's answers for the lines."""
        for name, gauges in (self._flink.by_model if self._flink else {}).items():
            if "call_ms_p50" in gauges:
                self._tally.models[name].note_calls(gauges["call_ms_p50"] / 1000, gauges.get("call_ms_p99", 0) / 1000, now)

    def _model(self, name: str, model: OfModel, gauges: Gauges, now: float) -> Board:
        found = verdict(model, len(self._configuration.models[name].active), name in self.parked, self._configuration.lift_wing.timeout_s, gauges, now)
        recent, minute = model.last(_RATE_SLICES, now), model.last(_MINUTE, now)
        p50, p99 = quantiles_of(minute)
        call_p50, call_p99 = (gauges[kind] / 1000 if kind in gauges else None for kind in ("call_ms_p50", "call_ms_p99"))
        return {
            "name": name,
            "state": found.state,
            "text": found.text,
            **{f"{what}_per_s": sum(getattr(each, what) for each in recent) / (_RATE_SLICES * SLICE_S) for what in ("asked", "scored", "failed")},
            "waiting": model.waiting,
            **{kind: round(gauges[kind]) if kind in gauges else None for kind in ("in_flight", "limit")},
            "p50_s": p50,
            "p99_s": p99,
            "call_p50_s": call_p50,
            "call_p99_s": call_p99,
            "added_p50_s": max(0.0, p50 - call_p50) if p50 is not None and call_p50 is not None else None,
            "failed": model.failures.total.total(),
            "failures": _reasons(model.failures),
        }

    def _wikis(self) -> list[Board]:
        tally = self._tally
        return [
            {"wiki": wiki, "edits": edits, "scores": tally.scores.total[wiki], "failures": tally.failures.total[wiki]}
            for wiki, edits in tally.edits.total.most_common(_BUSIEST)
        ]

    def _notes(self, now: float) -> Iterator[str]:
        """What is to be known of the whole, a sentence each."""
        messages, tally = self._messages, self._tally
        if messages.away_since:
            since = _clock(messages.away_since)
            yield f"{messages.trouble} since {since}: what is below is as of then. The stream waits for the broker too, and loses nothing."
        if messages.missing:
            some = ", ".join(messages.missing[:3]) + (f" and {len(messages.missing) - 3} more" if len(messages.missing) > 3 else "")
            yield f"The broker has no topic {some}; it is shown as soon as there is one."
        if self._flink and self._flink.trouble:
            yield self._flink.trouble
        if (behind := messages.behind()) > _FAR_BEHIND:
            yield f"This page still has {behind:,} messages to read; figures are of an earlier time."
        if not messages.away_since and messages.has_history and (tally.last_event is None or now - tally.last_event > _QUIET_S):
            yield f"No event came for {duration(now - tally.last_event)}." if tally.last_event else "No event came in the last ten minutes."
        if unanswered := sum(model.given_up for model in tally.models.values()):
            most = duration(self._configuration.lift_wing.max_age_s)
            yield f"Of {unanswered:,} requests neither a score nor a failure came within {most}: no stream ran then, or it has other models than --models here."
        for topic, count in tally.unreadable.items():
            yield f"{count:,} messages of {topic} are no such events." if count > 1 else f"A message of {topic} is no such event."


def _reasons(counts: RecentCounts) -> list[tuple[str, int]]:
    return counts.total.most_common(_MOST_REASONS)


def _lines(model: OfModel, now: float) -> Mapping[str, list[float | None]]:
    slices = model.all(now)
    quantiles = [each.quantiles() for each in slices]
    return {
        "asked": [each.asked / SLICE_S for each in slices],
        "scored": [each.scored / SLICE_S for each in slices],
        "p50": [p50 for p50, _ in quantiles],
        "p99": [p99 for _, p99 in quantiles],
        "call_p50": [each.call_p50_s for each in slices],
        "call_p99": [each.call_p99_s for each in slices],
    }


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(at)) + " UTC"
