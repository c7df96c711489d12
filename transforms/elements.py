"""What travels between the steps. No element is ever changed; those that there is one of for each event are
not frozen, as a frozen one takes three times as long to make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transforms.events.json_text import json_text


@dataclass(slots=True)
class SourceRecord:
    """What a source found: the bytes of a message or line, a row, or a piece that it could not read."""

    data: bytes | Mapping[str, Any]
    datacenter: str
    partition: str | None = None  # Hive partition of the source below its table
    problem: str = ""  # why it cannot be read
    only: str | None = None  # the one model to ask, where the others have their score; None: all
    final: bool = False  # a problem that no other try can mend
    origin: str = ""  # the file, to name it where the data are not JSON

    def text(self) -> str:
        """Returns the data as text, for the failure that they may become."""
        return self.data.decode("utf-8", "replace") if isinstance(self.data, bytes) else json_text(self.data)


@dataclass(slots=True)
class Event:
    """An event as it came, never changed, what it is of, and where it came from."""

    raw: Mapping[str, Any]
    datacenter: str  # eqiad: prefix of the source topic, or of the source partition
    wiki: str  # the database name
    rev_id: int
    # Hive partition of the source below its table; None: to be told by the event's time
    partition: str | None = None
    only: str | None = None  # the one model to ask; None: all


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """One call to make: this revision, by this model."""

    event: Event
    model: str

    @property
    def wiki(self) -> str:
        return self.event.wiki

    @property
    def rev_id(self) -> int:
        return self.event.rev_id


ScoreRequests = tuple[ScoreRequest, ...]  # all of one event; at least one


@dataclass(frozen=True, slots=True)
class Score:
    """What a model said of a revision, as Lift Wing wrote it."""

    model_version: str
    prediction: bool | str | list[str]
    probability: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ScoreResponse:
    request: ScoreRequest
    score: Score


@dataclass(frozen=True, slots=True)
class Failure:
    """An element that ends without a score: which step gave it up, why, and the original to try again
    with."""

    step: str
    reason: str
    original: str  # the event as JSON, or the text that is none
    datacenter: str
    model: str | None = None
    partition: str | None = None
    retryable: bool = False  # another try may end in a score: Lift Wing was away, a file could not be read


@dataclass(frozen=True, slots=True)
class OutputEvent:
    """A finished event on its way to its stream."""

    stream: str
    body: Mapping[str, Any]
    datacenter: str
    partition: str | None = None
    # of a score, for the failure that it becomes where it cannot be written
    request: ScoreRequest | None = None
    failure: Failure | None = None  # of an error event
