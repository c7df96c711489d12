"""What the timer that wakes requests at rest says of them, so that those that still find no room need not be
read: to read state is a round trip to Flink, and a million may wait for a dead model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

import orjson

from transforms.async_io.pending_request import PendingRequest
from transforms.lift_wing.admission import Admission
from transforms.models.model import Endpoint

_VERSION = 1  # of the format

# by model and wiki; None: the models file has no such endpoint
EndpointOf = Callable[[str, str], Endpoint | None]


class Rest(NamedTuple):
    """Requests of one key at rest for one endpoint. All times are seconds since the epoch."""

    model: str
    wiki: str
    requests: int
    counted: int  # how many of those the process counts among those that found no room
    entered_at: float
    due: float  # not to be asked before
    until: float | None  # when the oldest is too old; None: never
    frozen: bool  # the endpoint is stopped or refuses everybody, and they do not age

    @property
    def late(self) -> bool:
        """They have all waited."""
        return True


@dataclass(frozen=True)
class Tag:
    """What a timer says of the requests it wakes."""

    process: str  # that set it, which alone counts who waits
    rests: Sequence[Rest]

    def encode(self) -> str:
        return orjson.dumps([_VERSION, self.process, self.rests], default=tuple).decode()

    @classmethod
    def decode(cls, encoded: str) -> Tag:
        """Returns the tag; an empty one, which has the requests read, where there is none or one of another
        version."""
        version, process, rests = orjson.loads(encoded) if encoded else (0, "", ())
        return cls(process, [Rest(*rest) for rest in rests]) if version == _VERSION else cls("", ())

    @property
    def due(self) -> float:
        """Returns when the first of them is due, in seconds since the epoch."""
        return min(rest.due for rest in self.rests)

    def rebound(self, process: str) -> Tag:
        """Returns the tag as it is for a process: what another process counted is not counted."""
        return (
            self
            if self.process == process
            else Tag(process, [rest._replace(counted=0) for rest in self.rests])
        )

    def poll(self, now: float, endpoint_of: EndpointOf, admission: Admission) -> tuple[Tag, bool]:
        """Looks for room for what is due. Returns the tag after that, and whether its requests have to be
        read: some have room, are too old or age again, or their endpoint is gone."""
        rests, has_to_be_read = [], not self.rests
        for rest in self.rests:
            if rest.due > now:
                rests.append(rest)
                continue
            endpoint = endpoint_of(rest.model, rest.wiki)
            patience = admission.patience_s(endpoint) if endpoint else None
            until = rest.until if patience is None else _end_of(rest.entered_at, patience)
            if endpoint is None or (patience is None and rest.frozen) or (until is not None and now >= until):
                has_to_be_read = True
                rests.append(rest)
                continue
            wait = admission.admit(endpoint, rest)
            has_to_be_read |= not wait
            due = now + wait if until is None else min(now + wait, until)
            rests.append(
                rest._replace(
                    counted=rest.requests if wait else 0, due=due, until=until, frozen=patience is not None
                )
            )
        return replace(self, rests=rests), has_to_be_read


def rests_of(
    pending: Iterable[PendingRequest], max_age_s: float, endpoint_of: EndpointOf, admission: Admission
) -> list[Rest]:
    """Returns what to say of requests of one key that go to rest, by endpoint."""
    of_endpoint: dict[tuple[str, str], list[PendingRequest]] = {}
    for each in pending:
        of_endpoint.setdefault((each.request.model, each.request.wiki), []).append(each)
    return [_rest(all_of_it, max_age_s, endpoint_of, admission) for all_of_it in of_endpoint.values()]


def _rest(
    pending: list[PendingRequest], max_age_s: float, endpoint_of: EndpointOf, admission: Admission
) -> Rest:
    request, entered_at = pending[0].request, min(each.entered_at for each in pending)
    endpoint = endpoint_of(request.model, request.wiki)
    patience = admission.patience_s(endpoint) if endpoint else None
    until = (
        min(each.asked_at for each in pending) + max_age_s
        if patience is None
        else _end_of(entered_at, patience)
    )
    counted, due = sum(each.counted for each in pending), min(each.due for each in pending)
    return Rest(
        request.model, request.wiki, len(pending), counted, entered_at, due, until, patience is not None
    )


def _end_of(entered_at: float, patience_s: float) -> float | None:
    """Returns when requests that do not age are too old all the same, in seconds since the epoch; None:
    never."""
    return None if patience_s == inf else entered_at + patience_s


def wake(tag: Tag, pending: Iterable[PendingRequest], now: float) -> None:
    """Gives requests that were read what their tag says of them."""
    counted = Counter({(rest.model, rest.wiki): rest.counted for rest in tag.rests})
    frozen = {(rest.model, rest.wiki) for rest in tag.rests if rest.frozen}
    for each in pending:
        each.late = True
        target = each.request.model, each.request.wiki
        if counted[target] > 0:
            counted[target] -= 1
            each.counted = True
        if target in frozen:  # its age counts from when it is called for again
            each.asked_at = now
