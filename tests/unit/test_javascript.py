"""Rules mean what they mean to ChangeProp: each expectation is what lib/rule.js of ChangeProp said under
Node.js 20."""

from __future__ import annotations

from typing import Any

import pytest

from transforms.models.rules import RuleError, compile_rule


def matched(text: Any, *values: Any) -> list[bool]:
    rule = compile_rule({"f": text})
    return [rule({"f": value}) for value in values]


@pytest.mark.parametrize(
    ("regex", "value", "matches"),
    [
        # without the flag u a text is of halves of surrogate pairs
        ("/^.$/", "\U0001f600", False),
        ("/^..$/", "\U0001f600", True),
        ("/^[^x]$/", "\U0001f600", False),
        ("/^[\U0001f600]$/", "\U0001f600", False),
        ("/^\U0001f600+$/", "\U0001f600\U0001f600", False),
        ("/\U0001f600/", "a\U0001f600b", True),
        (r"/\ud83d/", "\U0001f600", True),
        (r"/^[\ud800-\udbff][\udc00-\udfff]$/", "\U0001f600", True),
        (r"/^[\u0080-\uffff]+$/", "\U0001f600\u00e9", True),
        ("/^.$/u", "\U0001f600", True),
        ("/^.$/", "\ud83d", True),
        ("/^.$/u", "\ud83d", True),
        # and upper case that is ASCII is not taken
        ("/s/i", "\u017f", False),
        ("/\u017f/i", "s", False),
        ("/[a-z]/i", "\u212a", False),
        (r"/^\w$/i", "\u017f", False),
        ("/\u0131/i", "i", False),
        ("/\u03c3/i", "\u03a3", True),
        ("/\u1f80/i", "\u1f88", False),
        # nor are code points and names of groups anything
        (r"/^\u{3}$/", "uuu", True),
        (r"/\u{61}/", "a", False),
        (r"/\u{61}/u", "a", True),
        (r"/(?<n>a)\k<n>/", "aa", False),
        (r"/(?<n>a)\k<n>/", "ak<n>", True),
        (r"/(?<n>a)b\1/", "aba", True),
        (r"/(?<n>a)(?<m>b)/", "ab", True),
        (r"/(?<n>a)(?<n>b)/", "ab", True),
        (r"/(?<n>a)(?:b)/", "ab", True),
        ("/[/]/", "/", True),
        (r"/a\/b/", "a/b", True),
    ],
)
def test_a_regular_expression_means_what_it_means_there(regex: str, value: str, matches: bool) -> None:
    assert matched(regex, value) == [matches]


@pytest.mark.parametrize(
    "text",
    [
        "/a/b/",
        "///",
        "/a/i/",
        "/[a/]b/c/",
        "/(?<n>a)(b)/",
        r"/\(?<x>/",
        "/[(?<n>]/",
        "/(?i:a)/",
        "/a/gg",
        "it's",
        "a\nb",
        "a\r",
        "\\",
        "x\\",
        r"\x",
        r"\u12",
    ],
)
def test_what_does_not_compile_there_is_refused(text: str) -> None:
    with pytest.raises(RuleError) as error:
        compile_rule({"f": text})
    assert len(error.value.problems) == 1
    assert error.value.problems[0].startswith("match.f: expected a ")
    with pytest.raises(RuleError, match=r"match_not\[0\]\.f\[0\]: expected a "):
        compile_rule({}, [{"f": [text]}])


@pytest.mark.parametrize("field", ["a-b", "a.b", "a b", "", "it's", "a\\b", "\n", "constructor", "01", "-1"])
def test_a_field_that_is_no_name_there_is_refused(field: str) -> None:
    for rule in ({field: 1}, {"page": {field: 1}}):
        with pytest.raises(
            RuleError, match="expected a field of letters, digits, _ and \\$, as ChangeProp takes no other"
        ):
            compile_rule(rule)


@pytest.mark.parametrize("field", ["$schema", "a_b", "_1", "0", "17", "\u00e9tat", "prototype"])
def test_a_field_that_is_a_name_there_is_one(field: str) -> None:
    assert compile_rule({field: "x"})({field: "x"})


def test_a_field_of_a_list_may_have_any_name_but_for_quotes() -> None:
    assert compile_rule({"f": [{"a-b": 1}]})({"f": [{"a-b": 1}]})
    with pytest.raises(RuleError):
        compile_rule({"f": [{"it's": 1}]})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"a\nb", "a\nb"),
        (r"\u0061", "a"),
        (r"\u{1F600}", "\U0001f600"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\x41\0\101", "A\0A"),
        (r"\q\\", "q\\"),
    ],
)
def test_a_backslash_escapes(text: str, value: str) -> None:
    assert matched(text, value, text) == [True, False]


def test_texts_and_lists_have_a_length_and_places() -> None:
    length = compile_rule({"f": {"length": 2}})
    assert [length({"f": value}) for value in ("ab", "\U0001f600", [1, 2], "a", [], {"length": 2}, 2)] == [
        True,
        True,
        True,
        False,
        False,
        True,
        False,
    ]
    second = compile_rule({"f": {"1": "b"}})
    assert [second({"f": value}) for value in ("ab", ["a", "b"], "b", [])] == [True, True, False, False]


def test_an_item_that_is_null_is_an_event_that_does_not_match() -> None:
    rule = compile_rule({"f": [{"a": 1}]})
    assert [
        rule({"f": value}) for value in ([{"a": 1}, None], [None, {"a": 1}], [0, {"a": 1}], [[], {"a": 1}])
    ] == [True, False, True, True]
    assert not compile_rule({}, [{"f": [{"a": 1}]}])({"f": [None]})
