"""What the page is sent: all it shows now, once a second, and the lines of the last ten minutes, whenever
five seconds are over."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.health.problems import Problem
from pipeline.times import duration
from pipeline.watch.headline import STOPPED_STATE, all_silent, headline
from pipeline.watch.health_poller import Gauges, HealthPoller
from pipeline.watch.links import Links
from pipeline.watch.messages import Messages
from pipeline.watch.of_model import OfModel
from pipeline.watch.recent import SLICE_S, RecentCounts, quantiles_of
from pipeline.watch.tally import Tally
from pipeline.watch.verdicts import Verdict, in_short, of_cause, verdict
from transforms.models.model import Configuration

_RATE_SLICES = 2  # a rate is of the last ten seconds that are over
_MINUTE = 60 // SLICE_S
_BUSIEST, _MOST_REASONS = 15, 5
_QUIET_S = 60.0  # without an event; what all wikis of Wikimedia together are never
_FAR_BEHIND = 5_000  # messages

_ILL_FIRST = ("broken", "silent", "refused", "failing", "slow", "waiting", "ok", "parked", "idle")

Board = dict[str, Any]


class BoardMaker:
    """Makes of the figures what is shown, in plain values that JSON has."""

    def __init__(
        self,
        configuration: Configuration,
        tally: Tally,
        messages: Messages,
        health: HealthPoller | None,
        links: Links,
    ) -> None:
        self._tally, self._messages, self._health, self._links = tally, messages, health, links
        self.trouble = ""  # of the models file
        self.follow(configuration)

    def follow(self, configuration: Configuration) -> None:
        """Shows these models from now on."""
        self._configuration = configuration
        active = {name: configuration.models[name].active for name in self._tally.models}
        self.parked = {
            name
            for name, endpoints in active.items()
            if all(endpoint.concurrency == 0 for endpoint in endpoints)
        }

    def board(self, now: float) -> Board:
        gauges, problems = (self._health.by_model, self._health.problems) if self._health else ({}, ())
        verdicts = {
            name: self._verdict(name, gauges.get(name, {}), problems, now) for name in self._tally.models
        }
        of_page = [*self._of_topics(problems, now), *all_silent(verdicts, self._silent_s(now))]
        told = headline(problems, of_page, verdicts)
        if told.state == STOPPED_STATE:
            verdicts = {name: self._waits(name, verdict, now) for name, verdict in verdicts.items()}
        models = [self._model(name, verdicts[name], gauges.get(name, {}), now) for name in self._tally.models]
        return {
            "at": now,
            "kafka": self._messages.address,
            "flink": self._health.address or None if self._health else None,
            "lift_wing": self._links.lift_wing,
            "links": self._links.shown(self._health.address if self._health else ""),
            "headline": dataclasses.asdict(told),
            "notes": list(self._notes(now)),
            "behind": self._behind(),
            "events_per_s": self._tally.events.per_s(_RATE_SLICES, now),
            "models": sorted(models, key=lambda model: _ILL_FIRST.index(model["state"])),
            "wikis": self._wikis(),
            "wikis_in_all": len(self._tally.edits.total),
            "latest": [dataclasses.asdict(score) for score in reversed(self._tally.latest)],
            "other_failures": _reasons(self._tally.without_model),
        }

    def lines(self, now: float) -> Board:
        """By model a list of each figure, a number or nothing for every five seconds of the last ten minutes,
        the oldest first."""
        return {"models": {name: _lines(model, now) for name, model in self._tally.models.items()}}

    def note_calls(self, now: float) -> None:
        """Keeps what Flink tells of Lift Wing's answers for the lines."""
        for name, gauges in (self._health.by_model if self._health else {}).items():
            if gauges.get("call_ms_p50") and name in self._tally.models:
                self._tally.models[name].note_calls(
                    gauges["call_ms_p50"] / 1000, gauges.get("call_ms_p99", 0) / 1000, now
                )

    def _verdict(self, name: str, gauges: Gauges, problems: Sequence[Problem], now: float) -> Verdict:
        """By what is known of the cause, else by what the topics tell."""
        model, settings = self._tally.models[name], self._configuration.lift_wing
        found = verdict(
            model,
            len(self._configuration.models[name].active),
            name in self.parked,
            settings.timeout_s,
            gauges,
            now,
        )
        known = of_cause(name, self._configuration.models[name].stream, problems)
        if known is None or name in self.parked:
            return found
        return Verdict(known.state, f"{known.text}. {in_short(model, now)}.")

    def _waits(self, name: str, found: Verdict, now: float) -> Verdict:
        """Of a model that is silent as all are: what it is waiting for is said above."""
        if found.state != "silent":
            return found
        return Verdict(
            "waiting", f"Waits as the whole stream does. {in_short(self._tally.models[name], now)}."
        )

    def _silent_s(self, now: float) -> float | None:
        last = [model.last_answer for model in self._tally.models.values() if model.last_answer]
        return now - max(last) if last else None

    def _behind(self) -> int | None:
        kafka = self._health.facts.kafka if self._health else None
        return kafka.behind if kafka and kafka.lag else None

    def _model(self, name: str, found: Verdict, gauges: Gauges, now: float) -> Board:
        model = self._tally.models[name]
        recent, minute = model.last(_RATE_SLICES, now), model.last(_MINUTE, now)
        p50, p99 = quantiles_of(minute)
        call_p50, call_p99 = (
            gauges[kind] / 1000 if gauges.get(kind) else None for kind in ("call_ms_p50", "call_ms_p99")
        )
        answered = any(each.scored for each in model.last(_RATE_SLICES + 1, now))
        return {
            "name": name,
            "state": found.state,
            "text": found.text,
            "old": not answered and (p50 is not None or call_p50 is not None),
            **{
                f"{what}_per_s": sum(getattr(each, what) for each in recent) / (_RATE_SLICES * SLICE_S)
                for what in ("asked", "scored", "failed")
            },
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
            {
                "wiki": wiki,
                "edits": edits,
                "scores": tally.scores.total[wiki],
                "failures": tally.failures.total[wiki],
            }
            for wiki, edits in tally.edits.total.most_common(_BUSIEST)
        ]

    def _of_topics(self, problems: Sequence[Problem], now: float) -> Iterator[str]:
        """What the page itself sees of the whole."""
        messages, tally = self._messages, self._tally
        if messages.away_since:
            yield (
                f"{messages.trouble} since {_clock(messages.away_since)}: figures are as of then, and "
                "the stream waits for it too"
            )
        elif self._health and self._health.trouble and not problems:
            yield self._health.trouble
        elif messages.has_history and (tally.last_event is None or now - tally.last_event > _QUIET_S):
            yield (
                f"no event came for {duration(now - tally.last_event)}"
                if tally.last_event
                else "no event came in the last ten minutes"
            )

    def _notes(self, now: float) -> Iterator[str]:
        """What is to be known beside, a sentence each."""
        messages, tally = self._messages, self._tally
        if self.trouble:
            yield self.trouble
        if messages.missing:
            some = ", ".join(messages.missing[:3]) + (
                f" and {len(messages.missing) - 3} more" if len(messages.missing) > 3 else ""
            )
            yield f"The broker has no topic {some}; it is shown as soon as there is one."
        if (behind := messages.behind()) > _FAR_BEHIND:
            yield f"This page still has {behind:,} messages to read; figures are of an earlier time."
        if unanswered := sum(model.given_up for model in tally.models.values()):
            most = duration(self._configuration.lift_wing.max_age_s)
            yield (
                f"Of {unanswered:,} requests neither a score nor a failure came within {most}: no stream "
                "ran then, or it has other models than --models here."
            )
        for topic, count in tally.unreadable.items():
            yield (
                f"{count:,} messages of {topic} are no such events."
                if count > 1
                else f"A message of {topic} is no such event."
            )


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
