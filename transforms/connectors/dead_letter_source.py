"""A source of what failed in a stream: the failure topics between two offsets, each failure once and for its
model alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam

from transforms.connectors.kafka_security import client_settings
from transforms.connectors.offset_ranges import OffsetRange, messages
from transforms.elements import SourceRecord
from transforms.events.error_events import CUT, EMITTER, alike, origin_of
from transforms.events.parsing import NotAnEventError, event_in, parse
from transforms.events.source_events import wiki_of
from transforms.models.model import Model
from transforms.models.selection import Selection
from transforms.models.wikis import Wikis


@dataclass(frozen=True)
class ReplayFilter:
    """Which failures are tried again."""

    models: Mapping[str, Model]  # of the models file, by name
    only: frozenset[str] = frozenset()  # names of models; empty: all
    wikis: frozenset[str] = frozenset()  # database names; empty: all
    reason: str = ""  # a regular expression that the message of a failure matches somewhere
    table: Wikis | None = None  # of wikis; None: the shipped one


@dataclass(frozen=True, slots=True)
class ReplayDecision:
    """What becomes of a failure: either `again` or `refusal` is set."""

    owner: str  # its model, or the step before there was one
    reason: str  # the same for failures that differ by revision alone
    again: SourceRecord | None = None  # goes through the steps once more
    refusal: str = ""  # why it does not


class ReplaySelector:
    """Decides of each failure, in the order of its topic, whether and how it is tried again."""

    def __init__(self, chosen: ReplayFilter) -> None:
        self._filter = chosen
        self._selection = Selection(chosen.models, chosen.table)
        self._seen: set[int] = set()  # a hash of each id: about 60 bytes a failure

    def decision(self, value: bytes | None, datacenter: str) -> ReplayDecision:
        """Returns what becomes of a message of the failure topic of this datacenter, and remembers it."""
        try:
            error = parse(value or b"")
        except NotAnEventError:
            error = {}
        texts = [error.get(name) for name in ("error_type", "message", "raw_event")]
        if error.get("emitter_id") != EMITTER or not all(isinstance(text, str) for text in texts):
            return ReplayDecision("?", "no failure of this pipeline", refusal="not written by this pipeline")
        step, model = origin_of(error)
        refusal = self._refusal(error, model)
        if refusal:
            return ReplayDecision(model or step, alike(error), refusal=refusal)
        return ReplayDecision(
            model or step,
            alike(error),
            SourceRecord(error["raw_event"].encode(), datacenter, only=model or None),
        )

    def _refusal(self, error: Mapping[str, Any], model: str) -> str:
        """Returns why a failure is not tried again; empty when it is."""
        raw = _original(error)
        if not self._is_chosen(error, model, raw):
            return "not asked for"
        if self._mark_seen(error):
            return "the same failure again"
        if error["message"].endswith(CUT):
            return "its original was cut"
        return self._refusal_of_model(model, raw) if model else ""

    def _is_chosen(self, error: Mapping[str, Any], model: str, raw: Mapping[str, Any]) -> bool:
        chosen = self._filter
        return (
            (not chosen.only or model in chosen.only)
            and (not chosen.wikis or wiki_of(raw) in chosen.wikis)
            and re.search(chosen.reason, error["message"]) is not None
        )

    def _refusal_of_model(self, model: str, raw: Mapping[str, Any]) -> str:
        """Returns why the model, as the models file has it now, does not score this event; empty when it
        does."""
        if model not in self._filter.models:
            return f"no model {model} in the models file"
        endpoint = self._filter.models[model].endpoint(wiki_of(raw) or "")
        if endpoint and not endpoint.concurrency:
            return f"{model} is stopped by its concurrency of 0"
        if model not in {each.model for each in self._selection.endpoints(raw)}:
            return f"{model} no longer wants its event"
        return ""

    def _mark_seen(self, error: Mapping[str, Any]) -> bool:
        """Remembers the failure; returns whether it came before."""
        key = hash(
            (error["meta"]["id"] if isinstance(error.get("meta"), dict) else None, error["error_type"])
        )
        repeated = key in self._seen
        self._seen.add(key)
        return repeated


def _original(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the event that failed; an empty one where the original is no event."""
    try:
        return event_in(SourceRecord(error["raw_event"].encode(), ""))
    except NotAnEventError:
        return {}


def decisions(
    settings: Mapping[str, str], ranges: Sequence[OffsetRange], chosen: ReplayFilter
) -> Iterator[ReplayDecision]:
    """Yields one for each message of the ranges. Raises KafkaException."""
    selector = ReplaySelector(chosen)
    for message in messages(settings, ranges):
        yield selector.decision(message.value(), message.topic().partition(".")[0])


@dataclass
class ReadDeadLetters(beam.PTransform):
    """Reads the failure stream up to its end.

    In: nothing: a source.
    Out: SourceRecord, for each failure that is tried again.
    Bounded: bounded.
    Guarantee: each failure once; never more at a time than the steps take.
    """

    brokers: str
    properties: Path | None
    ranges: Sequence[OffsetRange]
    chosen: ReplayFilter

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[SourceRecord]:
        return (
            pbegin
            | "Once" >> beam.Create([None])
            | "ReadFailures"
            >> beam.ParDo(_ReadFailuresFn(self.brokers, self.properties, self.ranges, self.chosen))
        )


class _ReadFailuresFn(beam.DoFn):
    def __init__(
        self, brokers: str, properties: Path | None, ranges: Sequence[OffsetRange], chosen: ReplayFilter
    ) -> None:
        self._brokers, self._properties, self._ranges, self._filter = brokers, properties, ranges, chosen

    def process(self, _: None) -> Iterator[SourceRecord]:
        for decision in decisions(
            client_settings(self._brokers, self._properties), self._ranges, self._filter
        ):
            if decision.again:
                yield decision.again
