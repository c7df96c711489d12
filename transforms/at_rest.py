"""Requests at rest in Flink's state, and what the timer that wakes them says of them, so that those that still find no room need not be read:
to read state is a round trip to Flink, and a million may wait for a dead model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from transforms.asking import Pending
from transforms.elements import Event, ScoreRequest
from transforms.models import Endpoint
from transforms.source_events import rev_id_of, wiki_of

EndpointOf = Callable[[str, str], Endpoint | None]  # by model and wiki; None: the models file has no such endpoint


def encode_pending(pending: Iterable[Pending]) -> bytes:
    """Requests as they rest in state: JSON, each event once, so that a savepoint outlives a change of this code."""
    events: dict[int, dict[str, Any]] = {}
    for each in pending:
        event = each.request.event
        of_event = events.setdefault(id(event), {"event": event.raw, "datacenter": event.datacenter, "partition": event.partition, "models": {}})
        of_event["models"][each.request.model] = [each.asked_at, each.tries, each.due, each.reason]
    return orjson.dumps(list(events.values()))


def decode_pending(encoded: bytes) -> list[Pending]:
    """What `encode_pending` wrote."""
    pending = []
    for value in orjson.loads(encoded):
        event = Event(value["event"], value["datacenter"], value["partition"])
        wiki, rev_id = wiki_of(event.raw), rev_id_of(event.raw)
        pending += [Pending(ScoreRequest(event, model, wiki, rev_id), *told) for model, told in value["models"].items()]
    return pending


class Rest(NamedTuple):
    """Requests at rest for one endpoint."""

    model: str
    wiki: str
    waits: int  # how many
    waited: int  # how many of those the process counts among those that found no room
    due: float  # seconds since the epoch; not to be asked before
    until: float | None  # seconds since the epoch, when the oldest is too old; None: the endpoint is stopped, where nobody ages


@dataclass(frozen=True)
class Tag:
    """What a timer says of the requests it wakes."""

    process: str  # that set it, which alone counts who waits
    rests: Sequence[Rest]

    def encode(self) -> str:
        return orjson.dumps([self.process, self.rests], default=tuple).decode()

    @classmethod
    def decode(cls, encoded: str) -> Tag:
        process, rests = orjson.loads(encoded) if encoded else ("", ())
        return cls(process, [Rest(*rest) for rest in rests])

    @property
    def due(self) -> float:
        """When the first of them is due."""
        return min(rest.due for rest in self.rests)

    def taken_over(self, process: str) -> Tag:
        """The tag in the hands of a process; what another one counted counts no more."""
        return self if self.process == process else Tag(process, [rest._replace(waited=0) for rest in self.rests])

    def asked(self, now: float, endpoint_of: EndpointOf, seconds_to_wait: Callable[[Endpoint, int, int], float]) -> tuple[Tag, bool]:
        """The tag after a look for room, and whether its requests have to be read: one has room or is too old, or its endpoint is gone or
        no longer stopped."""
        rests, has_to_be_read = [], not self.rests
        for rest in self.rests:
            if rest.due > now:
                rests.append(rest)
                continue
            endpoint = endpoint_of(rest.model, rest.wiki)
            stopped = endpoint is not None and endpoint.concurrency == 0
            if endpoint is None or not (stopped or (rest.until is not None and now < rest.until)):
                has_to_be_read = True
                rests.append(rest)
                continue
            wait, until = seconds_to_wait(endpoint, rest.waited, rest.waits), None if stopped else rest.until
            has_to_be_read |= not wait
            due = now + wait if until is None else min(now + wait, until)
            rests.append(rest._replace(waited=rest.waits if wait else 0, due=due, until=until))
        return replace(self, rests=rests), has_to_be_read


def tag_of(process: str, pending: Iterable[Pending], max_age_s: float, endpoint_of: EndpointOf) -> Tag:
    """What to say of requests that go to rest."""
    of_endpoint: dict[tuple[str, str], list[Pending]] = {}
    for each in pending:
        of_endpoint.setdefault((each.request.model, each.request.wiki), []).append(each)
    rests = []
    for place, all_of_it in of_endpoint.items():
        endpoint = endpoint_of(*place)
        until = None if endpoint and endpoint.concurrency == 0 else min(each.asked_at for each in all_of_it) + max_age_s
        rests.append(Rest(*place, len(all_of_it), sum(each.waited for each in all_of_it), min(each.due for each in all_of_it), until))
    return Tag(process, rests)


def wake(tag: Tag, pending: Iterable[Pending], now: float) -> None:
    """Has requests that were read remember what the tag says of them."""
    waited = Counter({(rest.model, rest.wiki): rest.waited for rest in tag.rests})
    stopped = {(rest.model, rest.wiki) for rest in tag.rests if rest.until is None}
    for each in pending:
        place = each.request.model, each.request.wiki
        if waited[place] > 0:
            waited[place] -= 1
            each.waited = True
        if place in stopped:  # its age counts from when it is called for again
            each.asked_at = now
