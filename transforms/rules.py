"""Which events a model wants: ORES' event kinds, and the match rules of ChangeProp (wikimedia/mediawiki-services-change-propagation).

A rule means here what it means there, so that rules of production move over unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import regress

from transforms.backtracking import text_without_end

Rule = Callable[[Mapping[str, Any]], bool]
_Test = Callable[[Any], bool]

_LONGEST_SHOWN = 200  # characters
_MISSING = object()  # JavaScript's undefined, which is not null
_REGEX = re.compile(r"/[^\n\r\u2028\u2029]+/[gimuy]{0,5}")  # what ChangeProp takes for a regex; any other string is a literal


class RuleError(ValueError):
    """A rule that cannot be compiled; `problems` has one line for each place, starting with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def _is_edit(event: Mapping[str, Any]) -> bool:
    return True


def _is_in_main(event: Mapping[str, Any]) -> bool:
    return _same(event.get("page_namespace"), 0)


def _is_by_bot(event: Mapping[str, Any]) -> bool:
    """ORES asks for the group, not for `user_is_bot`; who is not known is no bot."""
    performer = event.get("performer")
    groups = performer.get("user_groups") if isinstance(performer, Mapping) else None
    return isinstance(groups, list) and "bot" in groups


def _is_creation(event: Mapping[str, Any]) -> bool:
    """EventBus leaves the parent out where there is none; older events, and tables, have 0 or null."""
    parent = event.get("rev_parent_id")
    return parent is None or _same(parent, 0)


EVENT_KINDS: Mapping[str, Rule] = {
    "edit": _is_edit,
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
    """The test whether an event matches `match` and none of `match_not`; an empty `match` matches every event.

    What comes back cannot be pickled (its regexes cannot): compile where the events are.
    """
    problems: list[str] = []
    wanted = _mapping_test(match, "match", problems) if match else _is_edit
    unwanted = [_mapping_test(alternative, f"match_not[{index}]", problems) for index, alternative in enumerate(match_not)]
    if problems:
        raise RuleError(problems)
    return lambda event: wanted(event) and not any(test(event) for test in unwanted)


def mismatch(match: Mapping[str, Any], match_not: Sequence[Mapping[str, Any]], event: Mapping[str, Any]) -> str | None:
    """By which field a rule that can be compiled refuses an event, what it wants there and what it finds; None when it matches."""
    if match and (found := _mismatch(match, event, "match")):
        return found
    for index, alternative in enumerate(match_not):
        if not _mismatch(alternative, event, ""):
            return f"match_not[{index}]: {json.dumps(alternative)} is so"
    return None


def _mismatch(wanted: Any, value: Any, path: str) -> str | None:
    if _test(wanted, path, [])(value):
        return None
    if isinstance(wanted, Mapping) and _is_truthy(value):
        return next(found for key, below in wanted.items() if (found := _mismatch(below, _field(value, key), f"{path}.{key}")))
    return f"{path}: wanted {json.dumps(wanted)}, found {'nothing' if value is _MISSING else json.dumps(value, default=str)[:_LONGEST_SHOWN]}"


def _test(wanted: Any, path: str, problems: list[str]) -> _Test:
    """The test of one value of a rule; what no event can be compared with is noted in `problems`."""
    if isinstance(wanted, Mapping):
        return _mapping_test(wanted, path, problems)
    if isinstance(wanted, list):
        return _list_test(wanted, path, problems)
    if wanted == "undefined":
        return lambda value: value is _MISSING
    if isinstance(wanted, str) and _REGEX.fullmatch(wanted):
        return _regex_test(wanted, path, problems)
    if not isinstance(wanted, str | bool | int | float):
        given = "null" if wanted is None else repr(wanted)
        problems.append(f"{path}: expected text, a number, true, false, a list or a mapping, got {given}; quote it, or write 'undefined' for a missing field")
    return lambda value: _same(value, wanted)


def _mapping_test(wanted: Mapping[str, Any], path: str, problems: list[str]) -> _Test:
    if not wanted:
        problems.append(f"{path}: expected at least one field, got an empty mapping; name a field or leave {path.rpartition('.')[2]} out")
    tests = [(key, _test(value, f"{path}.{key}", problems)) for key, value in wanted.items()]
    return lambda value: _is_truthy(value) and all(test(_field(value, key)) for key, test in tests)


def _list_test(wanted: list[Any], path: str, problems: list[str]) -> _Test:
    """Each item must be found. ChangeProp asks whether the first that fits is true, so that 0, false or "" never counts as found."""
    tests = [_test(item, f"{path}[{index}]", problems) for index, item in enumerate(wanted)]
    return lambda value: isinstance(value, list) and all(_is_truthy(next(filter(test, value), _MISSING)) for test in tests)


def _regex_test(text: str, path: str, problems: list[str]) -> _Test:
    """`g` says nothing here, and `y` that the match begins where the text does: each test starts anew."""
    pattern, _, flags = text[1:].rpartition("/")
    try:
        if len(set(flags)) < len(flags):
            raise regress.RegressError(f"flags given twice: {flags}")
        regex = regress.Regex(pattern, flags)
    except regress.RegressError as error:
        problems.append(f"{path}: expected a regular expression of JavaScript, got {text!r} ({error}); repair the pattern")
        return lambda value: False
    if slow := _without_end(pattern, flags):
        problems.append(f"{path}: expected a pattern that ends soon on any text, got {text!r}, which does not on {slow!r}; repeat nothing that repeats")

    def matches(value: Any) -> bool:
        found = regex.find(value) if isinstance(value, str) else None
        return found is not None and ("y" not in flags or found.range().start == 0)

    return matches


@cache
def _without_end(pattern: str, flags: str) -> str | None:
    return text_without_end(regress.Regex(pattern, flags), pattern)


def _field(value: Any, key: str) -> Any:
    return value.get(key, _MISSING) if isinstance(value, Mapping) else _MISSING


def _is_truthy(value: Any) -> bool:
    """JavaScript's truth: an empty list or mapping is true, 0, "", null and undefined are false."""
    return value is not _MISSING and (isinstance(value, Mapping | list) or bool(value))


def _same(value: Any, wanted: Any) -> bool:
    """JavaScript's `===`: true is not 1, 1 is 1.0."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted)
