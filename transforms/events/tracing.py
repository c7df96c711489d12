"""What calls and messages say of the request that an event goes back to, so that one edit can be followed
through logs and traces."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from transforms.elements import OutputEvent

_IN_A_HEADER = "".join(map(chr, range(0x21, 0x7F)))  # characters that it can hold as they are
_ID = re.compile(r"[\x21-\x7e]{1,200}")
_UUID = re.compile("[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_LONGEST = 2_000  # characters of what triggered a call, as they are sent: servers take lines of some 8,000


def trace_headers(event: Mapping[str, Any]) -> dict[str, str]:
    """Returns the headers of a call or a message that an event causes; none where its `meta` has no
    `request_id` that a header can hold.

    `x-request-id` and `x-triggered-by` are those of ChangeProp (lib/base_executor.js and lib/utils.js of
    wikimedia/mediawiki-services-change-propagation). `traceparent` is of
    https://www.w3.org/TR/trace-context/: the trace is the request (its own digits where it is a UUID, else 32
    that follow from it), the parent a new number for each call, and nothing is recorded here.
    """
    meta = event.get("meta")
    if not isinstance(meta, dict):
        return {}
    request_id = meta.get("request_id")
    if not isinstance(request_id, str):
        return {}
    stream, uri = meta.get("stream"), meta.get("uri")
    trace_id, headers = _of_event(
        request_id, (stream, uri) if isinstance(stream, str) and isinstance(uri, str) else None
    )
    return (
        {**headers, "traceparent": f"00-{trace_id}-{random.getrandbits(64) or 1:016x}-00"} if trace_id else {}
    )


@lru_cache(maxsize=1_000)
def _of_event(request_id: str, cause: tuple[str, str] | None) -> tuple[str, Mapping[str, str]]:
    """Returns the trace, and the headers that are the same in all calls and messages that an event causes, of
    which there are up to 20; an empty trace where no header can hold the `request_id`. `cause`: the event's
    stream and page."""
    if _UUID.fullmatch(request_id):  # as MediaWiki's are
        trace_id = request_id.replace("-", "")
    elif _ID.fullmatch(request_id):
        trace_id = hashlib.sha256(request_id.encode()).hexdigest()[:32]
    else:
        return "", {}
    headers = {"x-request-id": request_id}
    if cause:
        headers["x-triggered-by"] = _in_a_header(f"req:{request_id},{cause[0]}:{cause[1]}"[:_LONGEST])[
            :_LONGEST
        ]
    return trace_id, headers


def output_headers(event: OutputEvent) -> dict[str, str]:
    """Returns the headers of a message with an output event: those of the event that it was made of, which is
    kept with a score alone."""
    if event.request:
        return trace_headers(event.request.event.raw)
    return trace_headers({"meta": {"request_id": event.body["meta"].get("request_id")}})


def as_lines(headers: Mapping[str, str]) -> list[str]:
    """Returns headers as lines of an HTTP request."""
    return [f"{name}: {value}" for name, value in headers.items()]


def _in_a_header(text: str) -> str:
    """Returns the text, percent-encoded where it has to be."""
    return (
        text
        if text.isascii() and text.isprintable() and " " not in text
        else quote(text, safe=_IN_A_HEADER, errors="replace")
    )
