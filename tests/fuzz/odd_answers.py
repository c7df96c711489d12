"""Answers to a call of Lift Wing that no server should give, as the bytes of a connection."""

from __future__ import annotations

from random import Random
from typing import Any

import orjson

from runners.simulated_lift_wing.faults import GARBAGE, HTML, MEDIAWIKI_FAILED, UNKNOWN_REVISION
from tests.fuzz.odd_json import broken, mutated, nested, odd_value

_FINAL = (400, 404, 413, 418, 422)
_PASSING = (408, 425, 429, 500, 502, 503, 504, 520, 599)
_ODD = (100, 101, 204, 206, 226, 300, 304, 401, 403, 405, 409, 421, 451, 501, 505, 511, 600, 999)
_RETRY_AFTER = (b"0", b"1", b"21600", b"-7", b"9" * 30, b"x", b"Wed, 21 Oct 2099 07:28:00 GMT", b"")


def good(wiki: str, model: str, rev_id: int) -> dict[str, Any]:
    score = {"prediction": True, "probability": {"true": 0.75, "false": 0.25}}
    return {
        wiki: {"models": {model: {"version": "0.5.1"}}, "scores": {str(rev_id): {model: {"score": score}}}}
    }


def odd_answer(random: Random, document: dict[str, Any]) -> bytes:
    """All that comes over the connection, which ends with it."""
    status = random.choice(
        (
            200,
            200,
            200,
            200,
            random.choice(_FINAL),
            random.choice(_FINAL),
            random.choice(_PASSING),
            random.choice(_ODD),
        )
    )
    body = _body(random, document, status)
    headers = [
        b"Content-Type: "
        + random.choice((b"application/json", b"text/html", b"text/plain; charset=utf-16", b"\xff"))
    ]
    if random.random() < 0.2:
        headers.append(b"Retry-After: " + random.choice(_RETRY_AFTER))
    return _sent(random, status, headers, body)


def plain_answer(status: int, body: Any) -> bytes:
    return _message(status, [b"Content-Type: application/json"], orjson.dumps(body))


def _body(random: Random, document: dict[str, Any], status: int) -> bytes:
    said = {
        random.choice(("error", "detail", "message")): random.choice(
            (MEDIAWIKI_FAILED, UNKNOWN_REVISION, "no", odd_value(random))
        )
    }
    whole = orjson.dumps(document if status == 200 or random.random() < 0.1 else said)
    match random.randrange(10):
        case 0:
            return whole
        case 1 | 2 | 3:
            return orjson.dumps(mutated(random, orjson.loads(whole), random.choice((1, 1, 2, 5))))
        case 4 | 5:
            return broken(random, whole)
        case 6:
            return nested(random)
        case 7:
            return b'{"error":' + nested(random) + b"}"
        case 8:
            return random.choice(
                (HTML, GARBAGE, "", "null", "[]", "7", '"a"', "no healthy upstream", "RBAC: access denied")
            ).encode()
        case _:
            return orjson.dumps(odd_value(random))


def _sent(random: Random, status: int, headers: list[bytes], body: bytes) -> bytes:
    match random.randrange(20):
        case 0:
            return b""  # the connection ends
        case 1:
            whole = _message(status, headers, body)
            return whole[: random.randrange(len(whole))]
        case 2:
            return _message(status, [*headers, b"Content-Encoding: gzip"], body)
        case 3:
            return b"HTTP/1.1 %d \r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n%b" % (
                status,
                len(body),
                body,
                random.choice((b"0\r\n\r\n", b"zz\r\n", b"")),
            )
        case 4:
            return _message(status, [*headers, *(b"X-%d: %b" % (at, b"y" * 50) for at in range(200))], body)
        case 5:
            return random.choice(
                (
                    b"\xff" * 100,
                    b"SSH-2.0-x\r\n",
                    b"HTTP/9.9 200\r\n\r\n",
                    b"HTTP/1.1 abc\r\n\r\n",
                    b"HTTP/1.1 200 \r\nContent-Length: -5\r\n\r\n",
                )
            )
        case _:
            return _message(status, headers, body)


def _message(status: int, headers: list[bytes], body: bytes) -> bytes:
    lines = [
        b"HTTP/1.1 %d " % status,
        *headers,
        b"Content-Length: %d" % len(body),
        b"Connection: close",
        b"",
        body,
    ]
    return b"\r\n".join(lines)
