"""Which events a model wants: ORES' event kinds, and the match rules of ChangeProp
(wikimedia/mediawiki-services-change-propagation).

A rule means here what it means there, so that rules of production move over unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transforms.models.javascript import JavaScriptError, SlowRegexError, is_regex, literal, regex_test

Rule = Callable[[Mapping[str, Any]], bool]
_Test = Callable[[Any], bool]

_LONGEST_SHOWN = 200  # characters
_MISSING = object()  # JavaScript's undefined, which is not null


class RuleError(ValueError):
    """A rule that cannot be compiled; `problems` has one line for each place, starting with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def _any_event(event: Mapping[str, Any]) -> bool:
    return True


def _is_in_main(event: Mapping[str, Any]) -> bool:
    return _same(event.get("page_namespace"), 0)


def _is_by_bot(event: Mapping[str, Any]) -> bool:
    """ORES asks for the group, not for `user_is_bot`; who is not known is no bot."""
    performer = event.get("performer")
    groups = performer.get("user_groups") if isinstance(performer, dict) else None
    return isinstance(groups, list) and "bot" in groups


def _is_creation(event: Mapping[str, Any]) -> bool:
    """EventBus leaves the parent out where there is none; older events, and tables, have 0 or null."""
    parent = event.get("rev_parent_id")
    return parent is None or _same(parent, 0)


EVENT_KINDS: Mapping[str, Rule] = {
    "edit": _any_event,
    "main_edit": _is_in_main,
    "bot_edit": _is_by_bot,
    "nonbot_edit": lambda event: not _is_by_bot(event),
    "page_creation": _is_creation,
    "main_creation": lambda event: _is_creation(event) and _is_in_main(event),
    "bot_page_creation": lambda event: _is_creation(event) and _is_by_bot(event),
    "nonbot_page_creation": lambda event: _is_creation(event) and not _is_by_bot(event),
}


def fields_of(match: Mapping[str, Any], match_not: Sequence[Mapping[str, Any]] = ()) -> frozenset[str]:
    """The fields of an event that a rule looks at."""
    return frozenset(field for rule in (match, *match_not) for field in rule)


def compile_rule(match: Mapping[str, Any], match_not: Sequence[Mapping[str, Any]] = ()) -> Rule:
    """The test whether an event matches `match` and none of `match_not`; an empty `match` matches every
    event.

    What comes back cannot be pickled (its regexes cannot): compile where the events are.
    """
    problems: list[str] = []
    wanted = _mapping_test(match, "match", problems) if match else _any_event
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
    """By which field a rule that can be compiled refuses an event, what it wants there and what it finds;
    None when it matches."""
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
    if isinstance(wanted, Mapping) and _is_truthy(value):
        return next(
            found
            for key, below in wanted.items()
            if (found := _mismatch(below, _field(value, key), f"{path}.{key}"))
        )
    return (
        f"{path}: wanted {json.dumps(wanted)}, found "
        f"{'nothing' if value is _MISSING else json.dumps(value, default=str)[:_LONGEST_SHOWN]}"
    )


def _test(wanted: Any, path: str, problems: list[str], in_list: bool = False) -> _Test:
    """The test of one value of a rule; what ChangeProp refuses, and what no event can be compared with, is
    noted in `problems`."""
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
    return lambda value: _same(value, wanted)


def _mapping_test(wanted: Mapping[str, Any], path: str, problems: list[str], in_list: bool = False) -> _Test:
    """All fields must be so. Of an item of a list ChangeProp does not ask first whether it is anything."""
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
        return all(test(_field(value, key)) for key, test in tests)

    return (
        of_item
        if in_list
        else lambda value: _is_truthy(value) and all(test(_field(value, key)) for key, test in tests)
    )


def _is_name(key: str) -> bool:
    """Whether JavaScript takes it for the name of a property without quotes."""
    return key != "constructor" and (
        key.replace("$", "_").isidentifier() or re.fullmatch("0|[1-9][0-9]*", key) is not None
    )


def _list_test(wanted: list[Any], path: str, problems: list[str]) -> _Test:
    """Each item must be found. ChangeProp asks whether the first that fits is true, so that 0, false or ""
    never counts as found."""
    tests = [_test(item, f"{path}[{index}]", problems, in_list=True) for index, item in enumerate(wanted)]
    return lambda value: (
        isinstance(value, list) and all(_is_truthy(next(filter(test, value), _MISSING)) for test in tests)
    )


def _text_test(text: str, path: str, problems: list[str]) -> _Test:
    if text == "undefined":
        return lambda value: value is _MISSING
    try:
        if not is_regex(text):
            wanted = literal(text)
            return lambda value: _same(value, wanted)
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


def _field(value: Any, key: str) -> Any:
    """A property, of texts and lists too."""
    if isinstance(value, dict):
        return value.get(key, _MISSING)
    if isinstance(value, list | str):
        if key == "length":
            return (
                len(value)
                if isinstance(value, list)
                else len(value.encode("utf-16-le", "surrogatepass")) // 2
            )
        if key.isdecimal() and int(key) < len(value):
            return value[int(key)]
    return _MISSING


def _is_truthy(value: Any) -> bool:
    """JavaScript's truth: an empty list or mapping is true, 0, "", null and undefined are false."""
    return value is not _MISSING and (isinstance(value, dict | list) or bool(value))


def _same(value: Any, wanted: Any) -> bool:
    """JavaScript's `===`: true is not 1, 1 is 1.0."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted)
