"""A ledger of its own: each request that the input asks for, when it came, was called and ended, and under
which id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from tests.simulator.clock import Clock
from transforms.async_io.state_codec import decode_pending
from transforms.delivery.undelivered_codec import decode_events
from transforms.events.source_events import rev_id_of, wiki_of
from transforms.models.model import Configuration
from transforms.models.selection import Selection


class Name(NamedTuple):
    """Of a request."""

    wiki: str
    rev_id: int
    model: str


class End(NamedTuple):
    at: float
    is_score: bool
    id: str
    reason: str  # of a failure


@dataclass(eq=False)
class Request:
    name: Name
    endpoint: str
    places: list[tuple[int, int]]  # partitions and positions of its event
    came_at: float
    ends: list[End] = field(default_factory=list)


class Ledger:
    """Of one run."""

    def __init__(
        self, clock: Clock, messages: Sequence[Sequence[tuple[float, Any]]], configuration: Configuration
    ) -> None:
        self._clock = clock
        self.requests: dict[Name, Request] = {}
        self.unknown: list[str] = []  # what was written and is of no request
        selection = Selection(configuration.models)
        for partition, of_partition in enumerate(messages):
            for position, (at, event) in enumerate(of_partition):
                for endpoint in selection.endpoints(event):
                    name = Name(wiki_of(event), rev_id_of(event), endpoint.model)
                    request = self.requests.setdefault(name, Request(name, endpoint.name, [], at))
                    request.places.append((partition, position))
                    request.came_at = min(request.came_at, at)
        self.open: dict[Name, Request] = dict(self.requests)  # without an end

    def written(self, topic: str, value: bytes) -> None:
        """Something is in Kafka for good."""
        body = orjson.loads(value)
        name = _name_of(body)
        request = self.requests.get(name) if name else None
        if request is None:
            self.unknown.append(f"{topic}: {value[:200]!r}")
            return
        request.ends.append(
            End(self._clock.now, "raw_event" not in body, body["meta"]["id"], body.get("message", ""))
        )
        self.open.pop(request.name, None)


def _name_of(body: Mapping[str, Any]) -> Name | None:
    """Whose end an event is; None for one of no request."""
    if "raw_event" in body:
        original = orjson.loads(body["raw_event"])
        return Name(wiki_of(original), rev_id_of(original), body["error_type"].partition("/")[2])
    if "scores" in body:
        return Name(body["database"], body["rev_id"], next(iter(body["scores"])))
    return Name(body["wiki_id"], body["revision"]["rev_id"], body["predicted_classification"]["model_name"])


@lru_cache(maxsize=10_000)
def names_in(value: bytes) -> frozenset[Name]:
    """The requests in a value of the state: those that wait for Lift Wing, or those whose ends wait for
    Kafka."""
    if value.startswith(b"{"):
        return frozenset(
            Name(each.request.wiki, each.request.rev_id, each.request.model) for each in decode_pending(value)
        )
    return frozenset(name for each in decode_events(value) if (name := _name_of(each.body)))
