"""JSON that nests, mistypes and mixes: pieces of a good document put where they do not belong, and what no
document should hold."""

from __future__ import annotations

from random import Random
from typing import Any

import orjson

TEXTS = (
    "",
    " ",
    "\u0000",
    "\x1b[2J\x1b]0;x\x07",
    "\u202e\u2028",
    "é" * 300,
    "x" * 20_000,
    "NaN",
    "true",
    "7",
    "Reason: ",
    "𝔘",
    "null",
    "{}",
)
NUMBERS = (0, -1, 1, 2**31, 2**53 + 1, -(2**63), 2**64 - 1, 1e308, -1e-308, 0.1, 1.5)


def odd_value(random: Random, depth: int = 0) -> Any:
    """Any JSON value, small as a rule."""
    match random.randrange(9 if depth < 4 else 6):
        case 0:
            return None
        case 1:
            return random.random() < 0.5
        case 2 | 3:
            return random.choice(NUMBERS)
        case 4 | 5:
            return random.choice(TEXTS)
        case 6:
            return [odd_value(random, depth + 1) for _ in range(random.randrange(4))]
        case _:
            return {
                random.choice(TEXTS)[:40] or str(at): odd_value(random, depth + 1)
                for at in range(random.randrange(4))
            }


def mutated(random: Random, document: Any, changes: int) -> Any:
    """The document with so many of its places changed: another value, none, one from elsewhere in it, or the
    same some levels deeper."""
    changed = orjson.loads(orjson.dumps(document))
    for _ in range(changes):
        holder, key = random.choice(_places(changed) or [(None, None)])
        if holder is None:
            return odd_value(random)
        match random.randrange(5):
            case 0:
                del holder[key]
            case 1 | 2:
                holder[key] = odd_value(random)
            case 3:
                other, at = random.choice(_places(changed))
                holder[key] = orjson.loads(orjson.dumps(other[at]))
            case _:
                holder[key] = {"a": [holder[key]]} if random.random() < 0.5 else [[holder[key]]]
    return changed


def nested(random: Random) -> bytes:
    """Brackets so deep that readers differ."""
    depth = random.choice((100, 250, 260, 500, 900, 1_000, 1_020, 1_030, 5_000, 50_000))
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'{"error":[', b"]}")))
    return opening * depth + b"1" + closing * random.choice((depth, depth, 0))


def broken(random: Random, text: bytes) -> bytes:
    """Bytes of which a few are others, doubled or gone."""
    data = bytearray(text or b"{}")
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(data) or 1)
        match random.randrange(4):
            case 0:
                data[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                data[at:at] = random.choice(
                    (b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\\ud800", b"NaN", b"1e999", b"\x00")
                )
            case 2:
                del data[at:]
            case _:
                data[at:at] = data[: random.randrange(50)]
    return bytes(data)


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every place in a document, as its holder and key."""
    found: list[tuple[Any, Any]] = []
    open_holders = [document]
    while open_holders:
        holder = open_holders.pop()
        keys: Any = (
            holder.keys()
            if isinstance(holder, dict)
            else range(len(holder))
            if isinstance(holder, list)
            else ()
        )
        for key in keys:
            found.append((holder, key))
            open_holders.append(holder[key])
    return found
