"""What EventGate says of the events in a POST (lib/eventgate.js and routes/events.js of wikimedia/eventgate).

    201        all are taken (202 with ?hasty)
    207        some are; of the others a list of those that are invalid, and a list of those that could not be produced
    400        all are invalid, with a list
    500        none is taken, with both lists
    413, …     the request as a whole
The lists name events by themselves, not by their place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

_LONGEST_REASON = 500  # characters
_REFUSES_STREAM = ("is not allowed in stream", "schema title must be", "not configured")  # what no other try mends


@dataclass(frozen=True)
class Verdict:
    """What became of the events of a POST that are not taken, by their `meta.id`."""

    invalid: Mapping[str, str] = field(default_factory=dict)  # for good, with what is wrong
    failed: Mapping[str, str] = field(default_factory=dict)  # to be tried again, with why

    @property
    def refused_stream(self) -> str | None:
        """The reason of one that is refused because EventGate does not know its stream, or not with its schema."""
        return next((reason for reason in self.failed.values() if any(words in reason for words in _REFUSES_STREAM)), None)


def verdict(status: int, body: bytes, ids: Collection[str]) -> Verdict:
    """What an answer says of the events with these ids."""
    if status in (200, 201, 202):
        return Verdict()
    told: Any = None
    with suppress(orjson.JSONDecodeError):
        told = orjson.loads(body)
    told = told if isinstance(told, dict) else {}
    invalid, failed = (_reasons(told.get(kind), ids) for kind in ("invalid", "error"))
    if status == 207 and (invalid or failed):
        return Verdict(invalid, failed)
    reason = f"{status}: {' '.join(body[:_LONGEST_REASON].decode('utf-8', 'replace').split()) or '(empty body)'}"
    return Verdict(invalid, {name: failed.get(name, reason) for name in ids if name not in invalid})


def _reasons(statuses: Any, ids: Collection[str]) -> dict[str, str]:
    found = {}
    for status in statuses if isinstance(statuses, list) else ():
        with suppress(KeyError, TypeError):
            name, context = status["event"]["meta"]["id"], status.get("context") or {}
            if name in ids:
                found[name] = str(context.get("errorsText") or context.get("message") or status.get("status"))[:_LONGEST_REASON]
    return found
