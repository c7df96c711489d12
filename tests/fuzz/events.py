"""Messages that nobody would send: real events of every kind, with parts nested, of other types, swapped and
mixed; the same for the same seed.

`tests.fuzz.steps` takes them through the steps.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import orjson

from tests.support.events import ROOT

DATA = ROOT / "tests" / "data"
DEPTHS = (1, 2, 50, 190, 197, 198, 199, 200, 201, 250, 300)
SCHEMAS = [
    *(
        "/mediawiki/revision/create/1.0.0",
        "/mediawiki/revision/create/2.0.0",
        "/mediawiki/revision/create/2.9.9",
        "/mediawiki/revision/create/3.0.0",
    ),
    *(
        "/mediawiki/page/change/1.0.0",
        "/mediawiki/page/change/1.11.0",
        "/mediawiki/page/change/2.0.0",
        "/mediawiki/revision/score/3.0.0",
    ),
    *(
        "/mediawiki/page/prediction_classification_change/1.3.0",
        "/error/2.1.0",
        "/mediawiki/revision/",
        "mediawiki/revision/create/1",
        "",
    ),
]
WIKIS = [
    "enwiki",
    "wikidatawiki",
    "viwiki",
    "zh_yuewiki",
    "commonswiki",
    "brandnewwiki",
    "testwiki",
    "EnWiki",
    "en/wiki",
    "../x",
    "*",
    " ",
    "a\nwiki",
    "\0",
    "é" * 300,
]
TEXTS = [
    "",
    "x",
    "0",
    "7",
    "true",
    "null",
    "\0",
    "\x1b[31m",
    "\u202e",
    "\U0001f600",
    "\ufffd",
    "x" * 5_000,
    "2021-08-27T13:20:11Z",
    "2021-02-30T25:61:61Z",
]
TEXTS += [
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59-12:00",
    "10000-01-01T00:00:00Z",
    "canary",
    "https://\n",
    "%",
    "{model}",
]
NUMBERS: list[Any] = [
    0,
    1,
    -1,
    7.0,
    1.5,
    -0.0,
    2**31,
    2**53 - 1,
    2**53,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**63),
    1e308,
    5e-324,
]
RAW_VALUES = [
    b"NaN",
    b"1e999",
    b"-1e999",
    b"123456789012345678901234567890",
    b"1" * 400,
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b"01",
    b"+1",
]


def real_events() -> list[dict[str, Any]]:
    """One of each kind that may come by."""
    pairs = [orjson.loads(line) for line in (DATA / "real_pairs.jsonl").read_bytes().splitlines()]
    changes = [
        orjson.loads((DATA / f"page_change_{version}.json").read_bytes()) for version in ("1.3.0", "1.6.0")
    ]
    created = [pair["event"] for pair in pairs[:8]]
    history = {
        **{name: value for name, value in created[0].items() if name != "$schema"},
        "meta": {**created[0]["meta"], "schema_uri": "mediawiki/revision/create/2"},
    }
    canary = {**created[1], "meta": {**created[1]["meta"], "domain": "canary"}}
    return [*created, *created, *changes * 6, history, canary, pairs[0]["score"], {}]


class Fuzzer:
    """Makes messages of real events and a seed."""

    def __init__(self, seed: int) -> None:
        self._seeded = random.Random(seed)
        self._events = real_events()

    def messages(self, count: int) -> Iterator[bytes]:
        for number in range(count):
            yield self.message(number)

    def message(self, number: int) -> bytes:
        """The message of this number; about a quarter of all are events as they should be."""
        seeded = self._seeded
        event = copy.deepcopy(seeded.choice(self._events))
        self._number(event, number)
        for _ in range(seeded.choice([0, 0, 1, 1, 1, 2, 3, 8])):
            event = self._changed(event)
        try:
            text = orjson.dumps(event)
        except orjson.JSONEncodeError:  # deeper than orjson writes
            text = b'{"deep":' + b"[" * 300 + b"]" * 300 + b"}"
        for _ in range(seeded.choice([0, 0, 0, 0, 0, 0, 0, 1, 1, 3])):
            text = self._torn(text)
        return text

    def _number(self, event: dict[str, Any], number: int) -> None:
        """An event is told from others by its revision."""
        if isinstance(event.get("revision"), dict):
            event["revision"]["rev_id"] = number + 1
        elif event:
            event["rev_id"] = number + 1
        if isinstance(event.get("meta"), dict):
            event["meta"]["id"] = f"id {number}"

    def _changed(self, event: Any) -> Any:
        """One part replaced, left out, renamed, wrapped, swapped with another or put where it does not
        belong."""
        seeded = self._seeded
        places = list(_places(event))
        if not places:
            return self._value()
        holder, key = seeded.choice(places)
        action = seeded.randrange(8)
        if action < 3:
            holder[key] = self._value()
        elif action == 3:
            del holder[key]
        elif action == 4 and isinstance(holder, dict):
            holder[
                seeded.choice(
                    [
                        "wiki_id",
                        "database",
                        "rev_id",
                        "revision",
                        "page",
                        "meta",
                        "performer",
                        "$schema",
                        "x",
                        "",
                    ]
                )
            ] = holder.pop(key)
        elif action == 5:
            holder[key] = seeded.choice([[holder[key]], {"x": holder[key]}, {str(key): holder[key]}])
        elif action == 6:
            other, there = seeded.choice(places)
            other[there] = copy.deepcopy(holder[key])
        else:
            for name, value in seeded.choice(self._events).items():
                if seeded.random() < 0.3 and isinstance(event, dict):
                    event[name] = copy.deepcopy(value)
        return event

    def _value(self) -> Any:
        seeded = self._seeded
        kind = seeded.randrange(7)
        if kind == 0:
            return seeded.choice([None, True, False, [], {}, [None], {"": None}])
        if kind == 1:
            return _nested(seeded.choice(DEPTHS), seeded.choice(["list", "object"]))
        if kind == 2:
            return copy.deepcopy(seeded.choice(self._events))
        return seeded.choice([NUMBERS, TEXTS, WIKIS, SCHEMAS][kind - 3])

    def _torn(self, text: bytes) -> bytes:
        """Bytes of it changed."""
        seeded = self._seeded
        at, until = sorted((seeded.randrange(len(text) + 1), seeded.randrange(len(text) + 1)))
        action = seeded.randrange(6)
        if action == 0:
            return text[:at]
        if action == 1:
            return text[:at] + bytes([seeded.randrange(256)]) + text[at + 1 :]
        if action == 2:
            return text + text[at:until]
        if action == 3 and b":" in text:
            return (
                text.replace(b":", b":" + seeded.choice(RAW_VALUES) + b",", 1)
                if seeded.random() < 0.2
                else _with_value(text, seeded.choice(RAW_VALUES), seeded)
            )
        if action == 4:
            return text.replace(
                b"e", seeded.choice([b"\\u0065", b"\\ud83d", b"\xc3\xa9", b"\xff"]), seeded.randrange(1, 4)
            )
        return seeded.choice(
            [b"", b" ", b"\n", b"null", b"[" * 2_000, b"{" * 2_000, b'{"a":' * 1_500, b"7", b'"x"', text * 2]
        )


def _with_value(text: bytes, value: bytes, seeded: random.Random) -> bytes:
    """With the value of some field of the top level written so."""
    fields = orjson.loads(text) if text.startswith(b"{") and _is_json(text) else {}
    if not fields:
        return value
    name = seeded.choice(list(fields))
    return orjson.dumps({**fields, name: "HERE IT GOES"}).replace(b'"HERE IT GOES"', value)


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each (holder, key) in it, without a stack of Python's."""
    left = [value]
    while left:
        holder = left.pop()
        for key, below in (
            list(holder.items() if isinstance(holder, dict) else enumerate(holder))
            if isinstance(holder, dict | list)
            else ()
        ):
            yield holder, key
            if isinstance(below, dict | list):
                left.append(below)


def _nested(levels: int, kind: str) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value] if kind == "list" else {"x": value}
    return value
