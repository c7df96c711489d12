"""A source of what failed in a stream: the failure topics, from one place to another, each failure once and
for its model alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from transforms.connectors.kafka_security import client_settings
from transforms.elements import SourceRecord
from transforms.events.error_events import CUT, EMITTER, alike, origin_of
from transforms.events.parsing import NotAnEventError, event_in, parse
from transforms.events.source_events import wiki_of
from transforms.models.model import Model
from transforms.models.selection import Selection
from transforms.models.wikis import Wikis

_LONGEST_PAUSE_MS = 24 * 3600 * 1000  # between two reads, while Lift Wing is asked
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The messages of one partition from offset `begin` to before `end`."""

    topic: str
    partition: int
    begin: int
    end: int


def offset_ranges(
    settings: Mapping[str, str], topics: Sequence[str], since_ms: int | None = None
) -> list[OffsetRange]:
    """What the topics hold now, or hold of messages that are not older than `since_ms`. Raises
    KafkaException."""
    consumer = _consumer(settings)
    try:
        partitions = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in consumer.list_topics(topic, _TIMEOUT_S).topics[topic].partitions
        ]
        bounds = {
            (place.topic, place.partition): consumer.get_watermark_offsets(place, _TIMEOUT_S)
            for place in partitions
        }
        begins = {place: low for place, (low, _) in bounds.items()}
        if since_ms is not None:
            asked = [TopicPartition(place.topic, place.partition, since_ms) for place in partitions]
            later = {
                (found.topic, found.partition): found.offset
                for found in consumer.offsets_for_times(asked, _TIMEOUT_S)
            }
            begins = {place: offset if offset >= 0 else bounds[place][1] for place, offset in later.items()}
    finally:
        consumer.close()
    return [
        OffsetRange(*place, begins[place], high)
        for place, (_, high) in bounds.items()
        if begins[place] < high
    ]


def messages(settings: Mapping[str, str], ranges: Sequence[OffsetRange]) -> Iterator[Message]:
    """The messages of the ranges. Waits for a broker that is away."""
    consumer = _consumer(settings)
    try:
        ends = {(each.topic, each.partition): each.end for each in ranges}
        consumer.assign([TopicPartition(each.topic, each.partition, each.begin) for each in ranges])
        while ends:
            for message in consumer.consume(500, 1.0):
                place = message.topic(), message.partition()
                error = message.error()
                if error and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if not error and message.offset() < ends.get(place, 0):
                    yield message
                # where the end is deleted or a mark of a transaction, the end of the partition tells
                if message.offset() >= ends.get(place, 0) - 1:
                    ends.pop(place, None)
    finally:
        consumer.close()


def _consumer(settings: Mapping[str, str]) -> Consumer:
    own = {
        "group.id": "revision-scores-replay",  # librdkafka wants one; nothing is committed
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "max.poll.interval.ms": _LONGEST_PAUSE_MS,
        "queued.max.messages.kbytes": 16_384,
        "log_level": 0,
        "error_cb": lambda error: None,  # a broker that is away
    }
    return Consumer({**settings, **own})


@dataclass(frozen=True)
class ReplayFilter:
    """Which failures are tried again: of these models and wikis only, where any are named, and with a reason
    like this."""

    models: Mapping[str, Model]
    only: frozenset[str] = frozenset()
    wikis: frozenset[str] = frozenset()
    reason: str = ""  # regular expression
    table: Wikis | None = None  # of wikis; None: the shipped one


@dataclass(frozen=True, slots=True)
class ReplayDecision:
    """What becomes of a failure: `again` goes through the steps once more, or `refusal` says why it does
    not."""

    owner: str  # its model, or the step before there was one
    reason: str
    again: SourceRecord | None = None
    refusal: str = ""


class ReplaySelector:
    """Says of each failure, in the order of its topic, whether and how it is tried again."""

    def __init__(self, chosen: ReplayFilter) -> None:
        self._filter = chosen
        self._selection = Selection(chosen.models, chosen.table)
        self._seen: set[int] = set()  # a hash of each id: about 60 bytes a failure

    def decision(self, value: bytes | None, datacenter: str) -> ReplayDecision:
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
        """Why a failure is not tried again; empty when it is."""
        chosen = self._filter
        try:
            raw: Mapping[str, Any] = event_in(SourceRecord(error["raw_event"].encode(), ""))
        except NotAnEventError:
            raw = {}
        if (
            (chosen.only and model not in chosen.only)
            or (chosen.wikis and wiki_of(raw) not in chosen.wikis)
            or not re.search(chosen.reason, error["message"])
        ):
            return "not asked for"
        if self._mark_seen(error):
            return "the same failure again"
        if error["message"].endswith(CUT):
            return "its original was cut"
        if model and model not in chosen.models:
            return f"no model {model} in the models file"
        if (
            model
            and (endpoint := chosen.models[model].endpoint(wiki_of(raw) or ""))
            and not endpoint.concurrency
        ):
            return f"{model} is stopped by its concurrency of 0"
        if model and model not in {endpoint.model for endpoint in self._selection.endpoints(raw)}:
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


def decisions(
    settings: Mapping[str, str], ranges: Sequence[OffsetRange], chosen: ReplayFilter
) -> Iterator[ReplayDecision]:
    """One for each message of the ranges."""
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
