"""Whether an EventGate takes what a stream will send: how large a body may be, and each stream with its
schema.

It is asked with events that have nothing but a stream and a schema: no EventGate produces them, though it may
note them among the invalid ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson
import requests

from pipeline.checks.findings import Finding, ok, unseen, wrong

_THING = "eventgate"
_PATIENCE_S = 10.0
_LARGE, _LARGE_ENOUGH = 4_000_000, 1_000_000  # bytes: what the sink begins with, and what one event may need


class _Refused(NamedTuple):
    """What an EventGate does not take, by the names of its answer: for each stream the reason."""

    invalid: Mapping[str, str]  # not of the stream's schema, so that it knows the stream
    error: Mapping[str, str]


def look(url: str, streams: Mapping[str, str]) -> Iterator[Finding]:
    """Yields what is wrong with an EventGate, or one line that says that it takes all.

    `streams`: the streams that will be sent there, each with the URI of its schema.
    """
    try:
        with requests.Session() as session:
            session.trust_env = False  # as the sink has it
            size = _largest(session, url)
            if size < _LARGE_ENOUGH:
                repair = "raise max_body_size of EventGate, or the limit of the proxy before it"
                yield wrong(
                    _THING,
                    f"{url}: expected to take a body of {_LARGE_ENOUGH:,} bytes, got 413 of {2 * size:,}; "
                    f"{repair}",
                )
            found = list(_of_streams(session, url, streams))
            yield from found or [
                ok(
                    _THING,
                    f"{url} takes bodies of {size:,} bytes, and knows the {len(streams)} streams and "
                    "their schemas",
                )
            ]
    except requests.RequestException as error:
        yield unseen(_THING, f"{url} broke off: {type(error).__name__}")


def _largest(session: requests.Session, url: str) -> int:
    """Returns a size of body, in bytes, that is not refused as too large, by halving; any size below
    `_LARGE_ENOUGH` is as bad as another."""
    size = _LARGE
    while (
        size >= _LARGE_ENOUGH
        and _post(session, url, b"[" + b" " * (size - 2) + b"]").status_code
        == requests.codes.request_entity_too_large
    ):
        size //= 2
    return size


def _of_streams(session: requests.Session, url: str, streams: Mapping[str, str]) -> Iterator[Finding]:
    """Yields what is wrong with the streams; nothing where the EventGate knows them all."""
    answer = _post(session, url, orjson.dumps(_probes(streams)))
    refused = _refused_in(answer.content)
    if refused is None:
        yield wrong(
            _THING,
            f"{url}: expected the answer of an EventGate, got {answer.status_code}; name the path of its "
            "events, such as /v1/events",
        )
        return
    for stream, reason in refused.error.items():
        if stream in streams:
            yield wrong(
                _THING,
                f"{url} does not take {stream} with schema {streams[stream]}: {reason}; configure the "
                "stream, and restart EventGate if it reads that once",
            )
    if unknown := [stream for stream in streams if stream not in {**refused.invalid, **refused.error}]:
        yield unseen(
            _THING,
            f"{url} does not say of {', '.join(unknown[:3])} whether it knows them (it answers "
            f"{answer.status_code})",
        )


def _probes(streams: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"$schema": schema, "meta": {"stream": stream, "id": f"check-{number}"}}
        for number, (stream, schema) in enumerate(streams.items())
    ]


def _refused_in(body: bytes) -> _Refused | None:
    """Returns what an answer says of the probes; None where it is not the answer of an EventGate."""
    try:
        answer = orjson.loads(body or b"{}")
        return _Refused(
            *({_stream(entry): _reason(entry) for entry in answer.get(key) or ()} for key in _Refused._fields)
        )
    except (orjson.JSONDecodeError, AttributeError, TypeError, KeyError):
        return None


def _post(session: requests.Session, url: str, body: bytes) -> requests.Response:
    return session.post(
        url, body, headers={"Content-Type": "application/json"}, timeout=_PATIENCE_S, allow_redirects=False
    )


def _stream(entry: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    return str(entry["event"]["meta"]["stream"])


def _reason(entry: Mapping[str, Mapping[str, str]]) -> str:
    context = entry.get("context") or {}
    return str(context.get("message") or context.get("errorsText") or "it does not say why")[:300]
