"""What was sent and what came of it: an entry for each request, exact over millions of them, in some 30 bytes
each."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from runners.simulated_lift_wing.latency import Latency
from tests.benchmarks.edits import FIRST_REVISION, Edits


@dataclass(frozen=True)
class Request:
    """One request that an event made, and its fate."""

    event: int
    model: str
    sent: float  # seconds since the epoch
    scored: float  # when its first score came; 0: never
    times: int  # scores, repeats included
    failures: int


class Ledger:
    """One thread sends, another counts; both only add."""

    def __init__(self, edits: Edits) -> None:
        self.edits = edits
        self.sent = array("d")  # by event
        self._scored = array("d")  # by request, as all that follow
        self._times = bytearray()
        self._failures = bytearray()
        self._id = array("Q")  # half of the first score's meta.id
        self.sent_of: Counter[str] = Counter()  # by model
        self.scored_of: Counter[str] = Counter()
        self.failed_of: Counter[str] = Counter()
        self._done_of: Counter[str] = Counter()  # what is both scored and failed, once
        self.repeats = 0
        self.repeats_with_another_id = 0
        self.foreign = 0  # scores and failures that nobody asked for

    @property
    def events(self) -> int:
        return len(self.sent)

    @property
    def requests(self) -> int:
        return len(self._times)

    @property
    def done(self) -> int:
        """Requests with a score or a failure."""
        return self._done_of.total()

    def open_of(self, models: Collection[str]) -> int:
        """Requests for these models that have neither score nor failure yet."""
        return sum(self.sent_of[model] - self._done_of[model] for model in models)

    def send(self, now: float) -> None:
        """Notes the next event, before it leaves."""
        models = self.edits.edit(len(self.sent)).models
        count = len(models)
        self._scored.extend((0.0,) * count)
        self._id.extend((0,) * count)
        self._times.extend(bytes(count))
        self._failures.extend(bytes(count))
        self.sent.append(now)
        for model in models:
            self.sent_of[model] += 1

    def score(self, model: str, wiki: str, rev_id: int, meta_id: str, now: float) -> None:
        number = self.edits.request(model, wiki, rev_id)
        if number is None or number >= len(self._times):
            self.foreign += 1
            return
        half = UUID(meta_id).int >> 64
        if self._times[number] == 0:
            self._scored[number], self._id[number] = now, half
            self.scored_of[model] += 1
            self._done_of[model] += self._failures[number] == 0
        else:
            self.repeats += 1
            self.repeats_with_another_id += self._id[number] != half
        self._times[number] = min(255, self._times[number] + 1)

    def is_scored(self, model: str, wiki: str, rev_id: int) -> bool:
        number = self.edits.request(model, wiki, rev_id)
        return number is not None and number < len(self._times) and self._times[number] > 0

    def fail(self, model: str, wiki: str, rev_id: int) -> None:
        number = self.edits.request(model, wiki, rev_id)
        if number is None or number >= len(self._times):
            self.foreign += 1
            return
        if self._failures[number] == 0:
            self.failed_of[model] += 1
            self._done_of[model] += self._times[number] == 0
        self._failures[number] = min(255, self._failures[number] + 1)

    def all(self, since: float = 0.0, until: float = math.inf) -> Iterator[Request]:
        """The requests of the events sent in this time."""
        for event, sent in enumerate(self.sent):
            if since <= sent < until:
                for number, model in self.edits.requests_of(event):
                    yield Request(
                        event, model, sent, self._scored[number], self._times[number], self._failures[number]
                    )

    def overheads(
        self, draw: Latency, models: Collection[str], since: float, until: float = math.inf
    ) -> list[float]:
        """Seconds from the event to its score less those of the call itself, rising; infinite where no score
        came."""
        return sorted(
            request.scored
            - request.sent
            - draw(self.edits.edit(request.event).wiki, request.model, FIRST_REVISION + request.event, 1)
            if request.times
            else math.inf
            for request in self.all(since, until)
            if request.model in models
        )
