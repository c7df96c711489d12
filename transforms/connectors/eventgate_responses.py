"""What EventGate says of the events in a POST (lib/eventgate.js and routes/events.js of wikimedia/eventgate).

    201        all are taken (202 with ?hasty, 204 of old versions), with an empty body
    207        some are; of the others a list of those that are invalid, and one of those that could not be
               produced
    400        all are invalid, with a list; without one the request as a whole could not be read
    413        the request as a whole is too large
    500        none is taken, with both lists

The lists name events by themselves, not by their place. Whatever else comes, such as a redirect or the
page of a proxy, takes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

_TAKEN = (200, 201, 202, 204)
_LONGEST_REASON = 500  # characters
_OF_EVENT = "Message size too large"  # what Kafka says of an event, by EventGate


@dataclass(frozen=True)
class Verdict:
    """What became of the events of a POST that are not taken, by their `meta.id`."""

    invalid: Mapping[str, str] = field(default_factory=dict)  # for good, with what is wrong
    failed: Mapping[str, str] = field(default_factory=dict)  # to be tried again, with why
    is_of_request: bool = False  # the request was refused for its size or content: a part of it may be taken


def verdict(status: int, body: bytes, ids: Collection[str], error: str = "") -> Verdict:
    """Returns what became of the events with these ids by an answer; `error`: why the answer is not whole."""
    if error:
        return Verdict(failed=dict.fromkeys(ids, f"no answer: {error}"))
    told, is_json = _told(body)
    invalid, failed = (_reasons(told.get(kind), ids) for kind in ("invalid", "error"))
    if status in _TAKEN and is_json and not invalid and not failed:
        return Verdict()
    if status == 207 and (invalid or failed):
        return _sorted(invalid, failed)
    reason = (
        f"{status}: {' '.join(body[:_LONGEST_REASON].decode('utf-8', 'replace').split()) or '(empty body)'}"
    )
    others = {name: failed.get(name, reason) for name in ids if name not in invalid}
    return _sorted(
        invalid, others, is_of_request=status == 413 or (status == 400 and not invalid and not failed)
    )


def _sorted(invalid: Mapping[str, str], failed: Mapping[str, str], *, is_of_request: bool = False) -> Verdict:
    too_large = {name: reason for name, reason in failed.items() if _OF_EVENT in reason}
    return Verdict(
        {**invalid, **too_large},
        {name: reason for name, reason in failed.items() if name not in too_large},
        is_of_request,
    )


def _told(body: bytes) -> tuple[Mapping[str, Any], bool]:
    """Returns what the body says, and whether it can be of EventGate: empty, or JSON."""
    if not body.strip():
        return {}, True
    with suppress(orjson.JSONDecodeError):
        told = orjson.loads(body)
        return (told if isinstance(told, dict) else {}), True
    return {}, False


def _reasons(statuses: Any, ids: Collection[str]) -> dict[str, str]:
    found = {}
    for status in statuses if isinstance(statuses, list) else ():
        with suppress(KeyError, TypeError):
            name, context = status["event"]["meta"]["id"], status.get("context") or {}
            if name in ids:
                found[name] = str(
                    context.get("errorsText") or context.get("message") or status.get("status")
                )[:_LONGEST_REASON]
    return found
