"""Which events a model wants, by match rules of ChangeProp (wikimedia/mediawiki-services-change-propagation).

A rule means here what it means there, so that rules of production move over unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transforms.models.javascript import JavaScriptError, SlowRegexError, is_regex, literal, regex_test
from transforms.models.javascript_values import UNDEFINED, is_identical, is_truthy, property_of

Rule = Callable[[Mapping[str, Any]], bool]
_Test = Callable[[Any], bool]

_LONGEST_SHOWN = 200  # characters


class RuleError(ValueError):
    """A rule that cannot be compiled; `problems` has one line for each place, starting with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def fields_of(match: Mapping[str, Any], match_not: Sequence[Mapping[str, Any]] = ()) -> frozenset[str]:
    """Returns the fields of an event that a rule looks at."""
    return frozenset(field for rule in (match, *match_not) for field in rule)


def compile_rule(match: Mapping[str, Any], match_not: Sequence[Mapping[str, Any]] = ()) -> Rule:
    """Returns the test whether an event matches `match` and none of `match_not`; an empty `match` matches
    every event. Raises RuleError.

    What comes back cannot be pickled (its regexes cannot): compile where the events are.
    """
    problems: list[str] = []
    wanted = _mapping_test(match, "match", problems) if match else (lambda event: True)
    unwanted = [
        _mapping_test(alternative, f"match_not[{index}]", problems)
        for index, alternative in enumerate(match_not)
    ]
    if problems:
        raise RuleError(problems)

    def matches(event: Mapping[str, Any]) -> bool:
        try:
            return wanted(event) and not any(test(event) for test in unwanted)
        except _ThrownError:
            return False

    return matches


class _ThrownError(Exception):
    """JavaScript would look for a field of null or undefined; ChangeProp takes that for an event that does
    not match."""


def mismatch(
    match: Mapping[str, Any], match_not: Sequence[Mapping[str, Any]], event: Mapping[str, Any]
) -> str | None:
    """Returns by which field a rule that can be compiled refuses an event, what it wants there and what it
    finds; None when it matches."""
    try:
        if match and (found := _mismatch(match, event, "match")):
            return found
        for index, alternative in enumerate(match_not):
            if not _mismatch(alternative, event, ""):
                return f"match_not[{index}]: {json.dumps(alternative)} is so"
    except _ThrownError:
        return "a list of it has null, of which ChangeProp finds no field"
    return None


def _mismatch(wanted: Any, value: Any, path: str) -> str | None:
    if _test(wanted, path, [])(value):
        return None
    if isinstance(wanted, Mapping) and is_truthy(value):
        return next(
            found
            for key, below in wanted.items()
            if (found := _mismatch(below, property_of(value, key), f"{path}.{key}"))
        )
    return (
        f"{path}: wanted {json.dumps(wanted)}, found "
        f"{'nothing' if value is UNDEFINED else json.dumps(value, default=str)[:_LONGEST_SHOWN]}"
    )


def _test(wanted: Any, path: str, problems: list[str], in_list: bool = False) -> _Test:
    """Returns the test of one value of a rule; notes in `problems` what ChangeProp refuses, and what no event
    can be compared with."""
    if isinstance(wanted, Mapping):
        return _mapping_test(wanted, path, problems, in_list)
    if isinstance(wanted, list):
        return _list_test(wanted, path, problems)
    if isinstance(wanted, str):
        return _text_test(wanted, path, problems)
    if not isinstance(wanted, bool | int | float):
        given = "null" if wanted is None else repr(wanted)
        problems.append(
            f"{path}: expected text, a number, true, false, a list or a mapping, got {given}; quote it, or "
            "write 'undefined' for a missing field"
        )
    return lambda value: is_identical(value, wanted)


def _mapping_test(wanted: Mapping[str, Any], path: str, problems: list[str], in_list: bool = False) -> _Test:
    """Returns the test that all fields pass theirs. Of an item of a list (`in_list`) ChangeProp does not ask
    first whether it is anything."""
    if not wanted:
        problems.append(
            f"{path}: expected at least one field, got an empty mapping; name a field or leave "
            f"{path.rpartition('.')[2]} out"
        )
    for key in wanted:
        if isinstance(key, str) and not (_is_name(key) or (in_list and not re.search(r"['\\\n\r]", key))):
            problems.append(
                f"{path}: expected a field of letters, digits, _ and $, as ChangeProp takes no other, got "
                f"{key!r}; rename it"
            )
    tests = [(key, _test(value, f"{path}.{key}", problems, in_list)) for key, value in wanted.items()]

    def of_item(value: Any) -> bool:
        if value is None:
            raise _ThrownError
        return all(test(property_of(value, key)) for key, test in tests)

    return (
        of_item
        if in_list
        else lambda value: is_truthy(value) and all(test(property_of(value, key)) for key, test in tests)
    )


def _is_name(key: str) -> bool:
    """Returns whether JavaScript takes it for the name of a property without quotes."""
    return key != "constructor" and (
        key.replace("$", "_").isidentifier() or re.fullmatch("0|[1-9][0-9]*", key) is not None
    )


def _list_test(wanted: list[Any], path: str, problems: list[str]) -> _Test:
    """Returns the test that each item is found. ChangeProp asks whether the first that fits is true, so that
    0, false or "" never counts as found."""
    tests = [_test(item, f"{path}[{index}]", problems, in_list=True) for index, item in enumerate(wanted)]
    return lambda value: (
        isinstance(value, list) and all(is_truthy(next(filter(test, value), UNDEFINED)) for test in tests)
    )


def _text_test(text: str, path: str, problems: list[str]) -> _Test:
    if text == "undefined":
        return lambda value: value is UNDEFINED
    try:
        if not is_regex(text):
            wanted = literal(text)
            return lambda value: is_identical(value, wanted)
        test = regex_test(text)
    except SlowRegexError as error:
        problems.append(
            f"{path}: expected a pattern that ends soon on any text, got {text!r}, which does not on "
            f"{str(error)!r}; repeat nothing that repeats"
        )
    except JavaScriptError as error:
        kind, repair = ("regular expression", "; repair the pattern") if is_regex(text) else ("text", "")
        problems.append(f"{path}: expected a {kind} of JavaScript, got {text!r} ({error}){repair}")
    else:
        return lambda value: isinstance(value, str) and test(value)
    return lambda value: False
