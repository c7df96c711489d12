"""Counts each message of a stream's topics, by model and by wiki."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from pipeline.config.topics import failure_topics, input_topics
from pipeline.watch.model_stats import Key, ModelStats
from pipeline.watch.rolling_window import RecentCounts
from transforms.events.error_events import alike, origin_of
from transforms.events.parsing import NotAnEventError, check, parse, why_dropped
from transforms.events.prediction_summary import format_prediction, read_prediction
from transforms.events.source_events import rev_id_of, wiki_of
from transforms.models.model import Configuration
from transforms.models.selection import Selection

_LATEST = 12
_LONGEST_TITLE, _LONGEST_REASON = 200, 300
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


@dataclass(frozen=True)
class ShownScore:
    """A score as people read it."""

    at: float
    model: str
    wiki: str
    title: str
    said: str
    seconds: float | None  # after its edit
    diff: str | None  # address


class Tally:
    """Counts for the models of `configuration`, which follow() changes.

    `parked`: models whose endpoints are all parked; `unreadable`: messages of the topics of scores and
    failures that are none, by topic.
    """

    def __init__(self, configuration: Configuration, topics: list[str] | None = None) -> None:
        self._named = topics
        self.models: dict[str, ModelStats] = {}
        self.follow(configuration)
        self.edits, self.scores, self.failures = RecentCounts(), RecentCounts(), RecentCounts()  # by wiki
        self.without_model = RecentCounts()  # failures before any model was asked, by reason
        self.events = RecentCounts()  # of any wiki, canary events too
        self.latest: deque[ShownScore] = deque(maxlen=_LATEST)
        self.unreadable: Counter[str] = Counter()
        self.last_event: float | None = None

    def follow(self, configuration: Configuration) -> None:
        """Counts for these models from now on; those that stay keep their figures."""
        self.configuration = configuration
        inputs = self._named or input_topics(configuration, None)
        datacenters = list(dict.fromkeys(topic.partition(".")[0] for topic in inputs))
        self._selection = Selection(configuration.models, configuration.wikis)
        self._inputs = set(inputs)
        active = [model for model in configuration.models.values() if model.active]
        self._scores = {
            f"{datacenter}.{model.stream}": model.name for datacenter in datacenters for model in active
        }
        self._failures = {
            topic for topic in failure_topics(configuration, None) if topic.partition(".")[0] in datacenters
        }
        self.models = {
            model.name: self.models.get(model.name) or ModelStats(configuration.lift_wing.max_age_s)
            for model in active
        }
        self.parked = {
            model.name for model in active if all(endpoint.concurrency == 0 for endpoint in model.active)
        }

    @property
    def topics(self) -> list[str]:
        return [*sorted(self._inputs), *self._scores, *sorted(self._failures)]

    def add(self, topic: str, value: bytes | None, at: float, now: float) -> None:
        """Counts a message; `at` is its time in Kafka, in seconds since the epoch."""
        if topic not in self._inputs and topic not in self._failures and topic not in self._scores:
            return  # of a model that the models file no longer has
        if topic in self._inputs:
            self._take_event(value or b"", at, now)
            return
        try:
            event = parse(value or b"")
            if topic in self._failures:
                self._take_failure(event, at, now)
            else:
                self._take_score(self._scores[topic], event, at, now)
        except (NotAnEventError, LookupError, TypeError, AttributeError):
            self.unreadable[topic] += 1

    def finish_history(self) -> None:
        """To be called when all is counted that was there before the page."""
        for model in self.models.values():
            model.finish_history()

    def forget(self, now: float) -> None:
        """Drops what is older than ten minutes."""
        for name, model in self.models.items():
            model.forget(now, name in self.parked)
        for counts in (self.edits, self.scores, self.failures, self.without_model, self.events):
            counts.forget(now)

    def _take_event(self, value: bytes, at: float, now: float) -> None:
        self.last_event = max(min(at, now), self.last_event or 0.0)
        self.events.add("event", at, now)
        try:
            raw = parse(value)
            if why_dropped(raw):
                return
            check(raw)
        except NotAnEventError:
            return  # of which the stream makes a failure
        self.edits.add(wiki_of(raw), at, now)
        for endpoint in self._selection.endpoints(raw):
            self.models[endpoint.model].note_edit(_key(raw), at, now)

    def _take_score(self, name: str, event: Mapping[str, Any], at: float, now: float) -> None:
        key, shown = _key(event), _shown(event, name, at)
        self.latest.append(replace(shown, seconds=self.models[name].note_answer(key, at, now)))
        self.scores.add(key[0], at, now)

    def _take_failure(self, event: Mapping[str, Any], at: float, now: float) -> None:
        (_step, name), reason = origin_of(event), alike(event)[:_LONGEST_REASON]
        if name not in self.models:
            self.without_model.add(reason, at, now)
            return
        try:
            key = _key(orjson.loads(event["raw_event"]))
        except (orjson.JSONDecodeError, TypeError):  # it was cut
            key = "", 0
        self.models[name].note_answer(key, at, now, reason)
        self.failures.add(key[0], at, now)


def _key(event: Mapping[str, Any]) -> Key:
    wiki, rev_id = wiki_of(event), rev_id_of(event)
    if not isinstance(wiki, str) or not isinstance(rev_id, int):
        raise TypeError("no wiki and revision")
    return wiki, rev_id


def _shown(event: Mapping[str, Any], name: str, at: float) -> ShownScore:
    key, meta = _key(event), event.get("meta") or {}
    title = str(event.get("page_title") or (event.get("page") or {}).get("page_title") or "")[
        :_LONGEST_TITLE
    ].replace("_", " ")
    domain = meta.get("domain")
    diff = (
        f"https://{domain}/w/index.php?diff={key[1]}"
        if isinstance(domain, str) and _DOMAIN.fullmatch(domain)
        else None
    )
    return ShownScore(at, name, key[0], title, format_prediction(read_prediction(event, name)), None, diff)
