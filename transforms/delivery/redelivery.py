"""Sends events again that their stream did not take, when it may; one that it never will take becomes a
failure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from transforms.delivery.deliveries import Delivery, Outbox, is_decided, stream_of
from transforms.delivery.streams import Streams
from transforms.elements import Failure, OutputEvent
from transforms.events.error_events import failed, shortened
from transforms.events.json_text import json_text

_EVENTS_PER_S = 1_000.0  # of a stream that takes events again, per process: what is new goes before
# so many refusals of an event alone in no less time, with others acknowledged between them: it is the event
# that is wrong
_STRIKES, _STRIKES_S = 3, 20.0
_STRIKES_KEPT = 1_000
_SILENT_S = 10.0  # that an event may be without an answer
_RECENT_S = 5.0  # a stream that acknowledged an event within so long does not fail because of another


def name_of(event: OutputEvent) -> str:
    """Returns what tells an event from all others; the same for one that is written again."""
    return f"{stream_of(event)} {event.body['meta']['id']}"


@dataclass(frozen=True)
class Attempt:
    """Events that are on their way again."""

    began: float  # seconds of a monotonic clock
    outboxes: Mapping[str, Outbox]  # by stream


@dataclass
class Outcome:
    """What an attempt came to; an event that is neither delivered nor replaced is still to be sent."""

    refused: list[OutputEvent] = field(default_factory=list)  # scores that became failures
    delivered: dict[str, OutputEvent] = field(default_factory=dict)  # by name
    # what goes out in the stead of an event, by its name
    instead: dict[str, OutputEvent] = field(default_factory=dict)
    refusal: str = ""  # what was said of one that is still to be sent, and of its stream

    @property
    def is_fruitless(self) -> bool:
        """Whether all that was to be sent still is, as it was."""
        return not (self.delivered or self.instead)

    def left_of(self, events: Iterable[OutputEvent]) -> list[OutputEvent]:
        """Returns what is still to be sent of all that was."""
        return [
            self.instead.get(name_of(event), event)
            for event in events
            if name_of(event) not in self.delivered
        ]


class Redelivery:
    """Makes the attempts of a worker process. `clock` returns the time as events have it."""

    def __init__(self, streams: Streams, failure_stream: str, clock: Callable[[], str]) -> None:
        self.streams, self._failure_stream, self._clock = streams, failure_stream, clock
        self._environment = streams.environment
        # by stream, when the next events may follow those that were sent
        self._free_at: dict[str, float] = {}
        # by name of an event: how many, and when the first and the last were
        self._strikes: dict[str, tuple[int, float, float]] = {}

    def seconds_to_wait(self, stream: str) -> float:
        """Returns how many seconds to send a stream nothing; 0 or less: it may be sent events now."""
        now = self._environment.monotonic()
        return max(self.streams.health(stream).seconds_to_next_try(now), self._free_at.get(stream, now) - now)

    def begin(self, events: Iterable[OutputEvent]) -> Attempt:
        """Sends the events of those streams that may get some now; one event alone to a stream whose last was
        not acknowledged."""
        by_stream: dict[str, dict[str, OutputEvent]] = {}
        for event in events:
            by_stream.setdefault(stream_of(event), {})[name_of(event)] = event
        now = self._environment.monotonic()
        sent = {
            stream: self._sent(stream, list(named.values()), now)
            for stream, named in by_stream.items()
            if self.seconds_to_wait(stream) <= 0
        }
        return Attempt(now, sent)

    def _sent(self, stream: str, events: Sequence[OutputEvent], now: float) -> Outbox:
        health, outbox = self.streams.health(stream), self.streams.transport.outbox(stream)
        if not health.acknowledges:
            # not always the same: it may be the one that is wrong
            events = [events[int(self._environment.uniform(0, len(events) - 0.001))]]
        health.on_try(now)
        self._free_at[stream] = now + len(events) / _EVENTS_PER_S
        for event in events:
            outbox.put(event, orjson.dumps(event.body))
        outbox.send()
        return outbox

    def wait_for(self, attempt: Attempt, wait_s: float) -> bool:
        """Waits so many seconds at most. Returns whether the attempt is over: all is decided, or has been
        undecided for too long."""
        for outbox in attempt.outboxes.values():
            outbox.wait(wait_s)
        return (
            all(map(is_decided, attempt.outboxes.values()))
            or self._environment.monotonic() - attempt.began > _SILENT_S
        )

    def end(self, attempt: Attempt) -> Outcome:
        """Returns what an attempt came to. Sends events that were refused together once more, each alone."""
        outcome = Outcome()
        for stream, outbox in attempt.outboxes.items():
            if len(outbox.deliveries) > 1 or any(
                delivery.refusal and delivery.refusal.of_event for delivery in outbox.deliveries
            ):
                outbox.send_again(alone=True)
            self.streams.note_acknowledged(stream, outbox)
            for delivery in outbox.deliveries:
                self._note(outcome, stream, delivery)
            if self.streams.health(stream).acknowledged_at < attempt.began - _RECENT_S:
                self.streams.note_failed(stream, outbox)
            elif not is_decided(outbox):
                outbox.abandon()
        return outcome

    def _note(self, outcome: Outcome, stream: str, delivery: Delivery) -> None:
        name = name_of(delivery.event)
        if delivery.is_delivered:
            outcome.delivered[name] = delivery.event
        elif (fault := self._fault_of(stream, name, delivery)) and (
            instead := self.instead_of(delivery.event, fault)
        ):
            outcome.instead[name] = instead
            if not _is_failure(delivery.event):
                outcome.refused.append(delivery.event)
        elif fault:
            outcome.refusal = (
                f"{stream} takes not even a failure without its original; raise its "
                f"max.message.bytes ({fault})"
            )
        elif delivery.refusal:
            outcome.refusal = f"{stream}: {delivery.refusal.reason}"

    def _fault_of(self, stream: str, name: str, delivery: Delivery) -> str:
        """Returns what is wrong with an event, in words; nothing while it may be the stream that is."""
        if not (delivery.refusal and delivery.alone):
            return ""
        if delivery.is_invalid:
            return delivery.refusal.reason
        now = self._environment.monotonic()
        strikes, first, last = self._strikes.pop(name, (0, now, float("-inf")))
        strikes += self.streams.health(stream).acknowledged_at > last
        if strikes >= _STRIKES and now - first >= _STRIKES_S:
            return f"{stream} refuses it alone: {delivery.refusal.reason}"
        self._strikes[name] = strikes, first, now
        if len(self._strikes) > _STRIKES_KEPT:
            del self._strikes[next(iter(self._strikes))]
        return ""

    def instead_of(self, event: OutputEvent, reason: str) -> OutputEvent | None:
        """Returns what goes out in place of an event that its stream will never take; None: nothing can, and
        it waits."""
        if _is_failure(event):
            shorter = shortened(event.body)
            return replace(event, body=shorter) if shorter else None
        return failure_of(event, reason, self._failure_stream, self._clock())

    def without_gone(self, events: Iterable[OutputEvent], known: Collection[str]) -> list[OutputEvent]:
        """Returns the events, with a failure in place of each whose stream is not `known` any more, and with
        each failure for the stream that failures have now."""
        return [event if event.stream in known else self._instead_of_gone(event) for event in events]

    def _instead_of_gone(self, event: OutputEvent) -> OutputEvent:
        if _is_failure(event):
            meta = {**event.body["meta"], "stream": self._failure_stream}
            return replace(event, stream=self._failure_stream, body={**event.body, "meta": meta})
        return failure_of(
            event,
            f"the models file has no stream {event.stream} any more",
            self._failure_stream,
            self._clock(),
        )


def failure_of(event: OutputEvent, reason: str, stream: str, now: str) -> OutputEvent:
    """Returns the failure of an event that cannot be written, with the event it was made of. `stream` is that
    of failures, `now` the time as events have it."""
    original, model = (event.request.event.raw, event.request.model) if event.request else (event.body, None)
    return failed(Failure("WritePerModel", reason, json_text(original), event.datacenter, model), stream, now)


def _is_failure(event: OutputEvent) -> bool:
    return "raw_event" in event.body
