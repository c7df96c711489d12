"""Real edits for a stream, as many as wanted and encoded beforehand: the capture again and again, each edit
with a revision of its own."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import orjson

from tests.benchmarks.inputs import CAPTURE
from transforms.models.model import Configuration
from transforms.models.selection import Selection

FIRST_REVISION = 3_000_000_000  # above every revision of the capture
_PLACE = 1_234_567_890_123_456_789
_TIME = "when it is sent"


@dataclass(frozen=True, slots=True)
class Edit:
    """An event of the capture without its revision and time, and the models that want it."""

    text: bytes
    wiki: str
    models: tuple[str, ...]
    first_request: int  # how many requests the edits before it in the capture make
    position: dict[str, int] = field(compare=False)


class Edits:
    """Event n is edit n modulo the capture's length, with revision FIRST_REVISION + n; so requests have
    numbers too, event by event."""

    def __init__(
        self, configuration: Configuration, wanted: Callable[[tuple[str, ...]], bool] = bool
    ) -> None:
        """Of the capture, the edits whose models are `wanted`; by default those that any model wants."""
        self.edits: list[Edit] = []
        self.requests = 0  # of one round through the capture
        selection = Selection(configuration.models)
        with gzip.open(CAPTURE, "rb") as capture:
            for event in map(orjson.loads, capture):
                models = tuple(endpoint.model for endpoint in selection.endpoints(event))
                if wanted(models):
                    self._add(event, models)

    def _add(self, event: dict[str, Any], models: tuple[str, ...]) -> None:
        text = orjson.dumps({**event, "rev_id": _PLACE, "meta": {**event["meta"], "dt": _TIME}})
        self.edits.append(
            Edit(
                text,
                event["database"],
                models,
                self.requests,
                {model: index for index, model in enumerate(models)},
            )
        )
        self.requests += len(models)

    def edit(self, event: int) -> Edit:
        return self.edits[event % len(self.edits)]

    def message(self, event: int, sent: float) -> bytes:
        """`sent`: seconds since the epoch, the event's time."""
        time = (
            datetime.fromtimestamp(sent, timezone.utc)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        return (
            self.edit(event)
            .text.replace(b"%d" % _PLACE, b"%d" % (FIRST_REVISION + event))
            .replace(_TIME.encode(), time.encode())
        )

    def request(self, model: str, wiki: str, rev_id: int) -> int | None:
        """The number of the request for this score; None: nobody asked for it."""
        event = rev_id - FIRST_REVISION
        if event < 0:
            return None
        edit = self.edit(event)
        if edit.wiki != wiki or model not in edit.position:
            return None
        return event // len(self.edits) * self.requests + edit.first_request + edit.position[model]

    def requests_of(self, event: int) -> Iterator[tuple[int, str]]:
        """Number and model of each request that an event makes."""
        edit = self.edit(event)
        return enumerate(edit.models, event // len(self.edits) * self.requests + edit.first_request)
