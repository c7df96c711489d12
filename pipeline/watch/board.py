"""Makes what the page is sent: all it shows now, once a second, and the lines of the last ten minutes, every
five seconds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.health.problems import Problem
from pipeline.times import duration
from pipeline.watch.headline import STOPPED_STATE, all_silent, headline
from pipeline.watch.health_poller import HealthPoller
from pipeline.watch.links import Links
from pipeline.watch.model_card import RATE_SLICES, lines, main_reasons, model_card
from pipeline.watch.tally import Tally
from pipeline.watch.topic_reader import TopicReader
from pipeline.watch.verdicts import ModelFacts, Verdict, verdict, verdict_by_problems, waiting_sentence

_BUSIEST = 15
_QUIET_S = 60.0  # without an event; what all wikis of Wikimedia together are never
_FAR_BEHIND = 5_000  # messages

_ILL_FIRST = ("broken", "silent", "refused", "failing", "slow", "waiting", "ok", "parked", "idle")

Board = dict[str, Any]


class BoardMaker:
    """Makes of the figures what is shown, in plain values that JSON has.

    `trouble`: what is wrong with the models file, in a sentence.
    """

    def __init__(self, tally: Tally, reader: TopicReader, health: HealthPoller | None, links: Links) -> None:
        self._tally, self._reader, self._health, self._links = tally, reader, health, links
        self.trouble = ""

    def board(self, now: float) -> Board:
        """Returns all that the page shows at a time, seconds since the epoch, but its lines."""
        problems = self._health.problems if self._health else ()
        models = self._models()
        verdicts = {name: self._verdict(name, facts, problems, now) for name, facts in models.items()}
        of_page = [*self._of_topics(problems, now), *all_silent(verdicts, self._silent_s(now))]
        told = headline(problems, of_page, verdicts)
        if told.state == STOPPED_STATE:
            verdicts = {name: self._waits(name, verdict, now) for name, verdict in verdicts.items()}
        cards = [model_card(name, facts, verdicts[name], now) for name, facts in models.items()]
        return {
            "at": now,
            **self._addresses(),
            "headline": dataclasses.asdict(told),
            "notes": list(self._notes(now)),
            "behind": self._behind(),
            "events_per_s": self._tally.events.per_s(RATE_SLICES, now),
            "models": sorted(cards, key=lambda card: _ILL_FIRST.index(card["state"])),
            **self._of_all_models(),
        }

    def lines(self, now: float) -> Board:
        """Returns by model what lines() of its card tells."""
        return {"models": {name: lines(stats, now) for name, stats in self._tally.models.items()}}

    def note_calls(self, now: float) -> None:
        """Keeps what Flink tells of Lift Wing's answers for the lines."""
        for name, gauges in (self._health.by_model if self._health else {}).items():
            if gauges.get("call_ms_p50") and name in self._tally.models:
                self._tally.models[name].note_calls(
                    gauges["call_ms_p50"] / 1000, gauges.get("call_ms_p99", 0) / 1000, now
                )

    def _models(self) -> Mapping[str, ModelFacts]:
        gauges, tally = self._health.by_model if self._health else {}, self._tally
        return {
            name: ModelFacts(
                stats,
                len(tally.configuration.models[name].active),
                name in tally.parked,
                gauges.get(name, {}),
            )
            for name, stats in tally.models.items()
        }

    def _verdict(self, name: str, facts: ModelFacts, problems: Sequence[Problem], now: float) -> Verdict:
        """Returns what is known of the cause, else what the topics tell."""
        configuration = self._tally.configuration
        known = verdict_by_problems(name, configuration.models[name].stream, problems)
        if known is None or facts.is_parked:
            return verdict(facts, configuration.lift_wing.timeout_s, now)
        return Verdict(known.state, f"{known.text}. {waiting_sentence(facts.stats, now)}.")

    def _waits(self, name: str, found: Verdict, now: float) -> Verdict:
        """Returns of a silent model that it waits as all do; the headline says for what."""
        if found.state != "silent":
            return found
        return Verdict(
            "waiting", f"Waits as the whole stream does. {waiting_sentence(self._tally.models[name], now)}."
        )

    def _silent_s(self, now: float) -> float | None:
        last = [model.last_answer for model in self._tally.models.values() if model.last_answer]
        return now - max(last) if last else None

    def _behind(self) -> int | None:
        kafka = self._health.facts.kafka if self._health else None
        return kafka.behind if kafka and kafka.lag else None

    def _addresses(self) -> Board:
        flink = self._health.address if self._health else ""
        return {
            "kafka": self._reader.address,
            "flink": flink or None,
            "lift_wing": self._links.lift_wing,
            "links": self._links.shown(flink),
        }

    def _of_all_models(self) -> Board:
        tally = self._tally
        return {
            "wikis": [
                {
                    "wiki": wiki,
                    "edits": edits,
                    "scores": tally.scores.total[wiki],
                    "failures": tally.failures.total[wiki],
                }
                for wiki, edits in tally.edits.total.most_common(_BUSIEST)
            ],
            "wikis_in_all": len(tally.edits.total),
            "latest": [dataclasses.asdict(score) for score in reversed(tally.latest)],
            "other_failures": main_reasons(tally.without_model),
        }

    def _of_topics(self, problems: Sequence[Problem], now: float) -> Iterator[str]:
        """Yields what the page itself sees of the whole."""
        reader, tally = self._reader, self._tally
        if reader.away_since:
            yield (
                f"{reader.trouble} since {_clock(reader.away_since)}: figures are as of then, and "
                "the stream waits for it too"
            )
        elif self._health and self._health.trouble and not problems:
            yield self._health.trouble
        elif reader.has_history and (tally.last_event is None or now - tally.last_event > _QUIET_S):
            yield (
                f"no event came for {duration(now - tally.last_event)}"
                if tally.last_event
                else "no event came in the last ten minutes"
            )

    def _notes(self, now: float) -> Iterator[str]:
        """Yields what else is to be known, a sentence each."""
        reader, tally = self._reader, self._tally
        if self.trouble:
            yield self.trouble
        if reader.missing:
            some = ", ".join(reader.missing[:3]) + (
                f" and {len(reader.missing) - 3} more" if len(reader.missing) > 3 else ""
            )
            yield f"The broker has no topic {some}; it is shown as soon as there is one."
        if (behind := reader.behind()) > _FAR_BEHIND:
            yield f"This page still has {behind:,} messages to read; figures are of an earlier time."
        if unanswered := sum(model.given_up for model in tally.models.values()):
            most = duration(self._tally.configuration.lift_wing.max_age_s)
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


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(at)) + " UTC"
