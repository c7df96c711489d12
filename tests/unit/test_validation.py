"""Events are checked as fastjsonschema would check them, and most are told to be valid without it."""

from __future__ import annotations

import copy
import gzip
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fastjsonschema
import orjson
import pytest

import schemas
from runners.played_edits import CAPTURE
from schemas.validation import compile_check, usual_test
from tests.support.events import edit
from transforms.elements import Score
from transforms.events.score_events import ScoreStream, revision_score, utc_now

TIMES = [
    f"2024-{month:02}-{day:02}T23:59:59Z"
    for month in range(1, 13)
    for day in range(1, monthrange(2023, month)[1] + 1)
]
TIMES += ["2024-02-15T13:00:00.5Z", "2024-02-15T13:00:00.123456789Z"]
NO_TIMES = [
    f"2023-{month:02}-{day:02}T00:00:00Z"
    for month in range(14)
    for day in range(33)
    if not (1 <= month <= 12 and 1 <= day <= monthrange(2023, month)[1])
]
NO_TIMES += [
    "2024-02-15",
    "2024-02-15T24:00:00Z",
    "2024-02-15T13:60:00Z",
    "2024-02-15T13:00:00Z\n",
    "2024-02-15T13:00:00.Z",
    "٢٠٢٤-02-15T13:00:00Z",
]
# that the schema takes
ODD_TIMES = [
    "2024-02-29T00:00:00Z",
    "2024-02-15T13:00:00+01:00",
    "2024-02-15t13:00:00z",
    "2024-02-15T13:00:60Z",
]
ODD: list[Any] = [
    None,
    "",
    "x",
    "2024-02-30T00:00:00Z",
    "2024-02-15T13:00:00+01:00",
    "https://a.b/c d",
    "https://a.b/c#d",
    "a\\b",
    "https://a.b/c",
]
ODD += [0, -1, 1, 2**53, 1.0, 0.5, True, [], ["x"], [""], [1], [None], {}, {"a": 1}]


def changed(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The event with each of its fields, and each of the fields of its objects, as something else or gone."""
    for name, value in event.items():
        for odd in ODD:
            yield {**event, name: odd}
        yield {other: kept for other, kept in event.items() if other != name}
        if isinstance(value, dict):
            for inner in changed(value):
                yield {**event, name: inner}


SCORE = {
    key: value
    for key, value in schemas.load(schemas.REVISION_SCORE).items()
    if key not in ("$schema", "$id", "examples")
}


def score_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    return revision_score(
        raw,
        ScoreStream("damaging", "mediawiki.revision-score-damaging"),
        Score("0.5.1", True, {"true": 0.9, "false": 0.1}),
        utc_now(),
    )


def complaint(check: Callable[[Any], object], value: Any) -> str | None:
    try:
        check(copy.deepcopy(value))
    except fastjsonschema.JsonSchemaException as error:
        return str(error.message)
    return None


def test_what_is_valid_and_why_not_is_told_as_by_fastjsonschema() -> None:
    check, slow, is_usual = compile_check(SCORE), fastjsonschema.compile(SCORE), usual_test(SCORE)
    usual = refused = 0
    for each in changed(score_of(edit())):
        wanted = complaint(slow, each)
        assert complaint(check, each) == wanted
        usual += is_usual(each)
        refused += wanted is not None
    assert usual > 50
    assert refused > 50


def test_real_edits_are_usual() -> None:
    with gzip.open(CAPTURE, "rb") as capture:
        assert all(map(usual_test(SCORE), map(score_of, map(orjson.loads, capture))))


@pytest.mark.parametrize(
    ("schema", "usual", "others"),
    [
        (
            {"type": "integer", "minimum": 1, "maximum": 2**53 - 1},
            [1, 5.0],
            [0, True, "1", None, float("nan"), 2**70, -(2**70)],
        ),
        ({"type": "number", "maximum": 1}, [1, 0.5], [2, True, "1", float("nan"), float("inf")]),
        (
            {"type": ["string", "null"], "minLength": 1, "maxLength": 2},
            ["a", "\U0001f600" * 2, None],
            ["", 1, b"a"],
        ),
        ({"type": "string", "format": "date-time"}, [*TIMES], [*NO_TIMES, *ODD_TIMES, 5]),
        (
            {"type": "string", "format": "uri-reference"},
            ["https://a.b/c?d=%20"],
            ["https://a#b", "/c", "https://a b", "https://a\\b", "https://\x1ca", "https://é"],
        ),
        ({"type": "string", "format": "uri"}, [], ["https://a"]),
        ({"type": "array", "items": {"type": "boolean"}}, [[], [True], (True,)], [[1], {}]),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            [{"a": 1, "b": 2}],
            [{}, {"a": None}, {"a": "1"}, {5: 1}],
        ),
        (
            {"type": "object", "additionalProperties": {"type": "number"}},
            [{}, {"a": 1}],
            [{"a": "1"}, {b"a": 1}, {"\ud800": 1}],
        ),
        ({"enum": [1]}, [1], [2, None]),
    ],
)
def test_what_is_usual_is_valid(schema: dict[str, Any], usual: list[Any], others: list[Any]) -> None:
    is_usual, slow = usual_test(schema), fastjsonschema.compile(schema)
    assert [is_usual(value) for value in [*usual, *others]] == [True] * len(usual) + [False] * len(others)
    assert [complaint(slow, value) for value in usual] == [None] * len(usual)
