"""What the quick test of a schema lets through is valid; most events are let through."""

from __future__ import annotations

import copy
import gzip
from collections.abc import Iterator, Mapping
from typing import Any

import fastjsonschema
import orjson
import pytest
from conftest import edit

import schemas
from runners.played_edits import CAPTURE
from transforms.models.scorable import _check, _is_surely_valid
from transforms.models.surely_valid import surely_valid

ODD: list[Any] = [None, "", "x", "2024-02-30T00:00:00Z", "2024-02-15T13:00:00+01:00", "https://a.b/c d", "https://a.b/c#d", "a\\b", "https://a.b/c"]
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


def test_what_is_surely_valid_is_valid() -> None:
    is_surely_valid, validate = _is_surely_valid(schemas.REVISION_SCORE), _check(schemas.REVISION_SCORE)
    passed = refused = 0
    for each in changed(edit()):
        if is_surely_valid(each):
            validate(copy.deepcopy({**each, "dt": "2024-02-15T13:00:00Z"}))  # raises what is not valid
            passed += 1
        else:
            refused += 1
    assert passed > 50
    assert refused > 50


def test_real_edits_are_surely_valid() -> None:
    with gzip.open(CAPTURE, "rb") as capture:
        assert all(map(_is_surely_valid(schemas.REVISION_SCORE), map(orjson.loads, capture)))


@pytest.mark.parametrize(
    ("schema", "valid", "not_surely"),
    [
        ({"type": "integer", "minimum": 1}, [1, 2**60], [0, True, 1.0, "1", None]),
        ({"type": "number", "maximum": 1}, [1, 0.5], [2, True, "1"]),
        ({"type": ["string", "null"], "minLength": 1}, ["a"], ["", None, 1]),
        ({"type": "string", "format": "date-time"}, ["2024-02-29T13:00:00Z"], ["2024-02-30T13:00:00Z", "2024-02-15T13:00:00+00:00", "2024-02-15", 5]),
        ({"type": "string", "format": "uri"}, [], ["https://a"]),
        ({"type": "string", "pattern": "a"}, [], ["a"]),
        ({"type": ["string", "integer"]}, [], ["a", 1]),
        ({"type": "array", "items": {"type": "boolean"}}, [[], [True]], [[1], {}, (True,)]),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, [{"a": 1, "b": 2}], [{}, {"a": None}, {"a": "1"}]),
        ({"type": "object", "additionalProperties": False}, [], [{}]),
        ({"enum": [1]}, [], [1]),
    ],
)
def test_a_schema_that_says_more_lets_nothing_through(schema: dict[str, Any], valid: list[Any], not_surely: list[Any]) -> None:
    test, validate = surely_valid(schema), fastjsonschema.compile(schema)
    assert [value for value in [*valid, *not_surely] if test(value)] == valid
    for value in valid:
        validate(value)
