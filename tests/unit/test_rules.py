"""Match rules as ChangeProp has them."""

from __future__ import annotations

import pytest

from transforms.models.rules import RuleError, compile_rule


@pytest.mark.parametrize(
    ("match", "event", "expected"),
    [
        ({}, {}, True),
        ({}, {"a": 1}, True),
        # literals are compared as by ===
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": False}, {"a": 0}, False),
        ({"a": False}, {"a": False}, True),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": False}, {}, False),
        ({"a": ""}, {"a": ""}, True),
        # all fields have to hold, nested ones too
        ({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, True),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, False),
        ({"page": {"ns": 0, "is_redirect": False}}, {"page": {"ns": 0, "is_redirect": False}}, True),
        ({"page": {"ns": 0, "is_redirect": False}}, {"page": {"ns": 0}}, False),
        ({"page": {"ns": 0}}, {"page": "ns"}, False),
        ({"page": {"ns": 0}}, {"page": None}, False),
        ({"page": {"ns": 0}}, {}, False),
        # 'undefined' is a missing field, which null is not
        ({"a": "undefined"}, {}, True),
        ({"a": "undefined"}, {"a": None}, False),
        ({"a": "undefined"}, {"a": "undefined"}, False),
        ({"page": {"a": "undefined"}}, {"page": {}}, True),
        ({"page": {"a": "undefined"}}, {"page": "text"}, True),
        ({"page": {"a": "undefined"}}, {}, False),
        # regexes are JavaScript's, not anchored, and want a string
        ({"a": "/it/"}, {"a": "edit"}, True),
        ({"a": "/^(edit|create)$/"}, {"a": "create"}, True),
        ({"a": "/^(edit|create)$/"}, {"a": "create\n"}, False),
        ({"a": "/EDIT/"}, {"a": "edit"}, False),
        ({"a": "/EDIT/i"}, {"a": "edit"}, True),
        ({"a": "/it/g"}, {"a": "edit"}, True),
        ({"a": "/it/y"}, {"a": "edit"}, False),
        ({"a": "/ed/y"}, {"a": "edit"}, True),
        ({"a": "/^it$/m"}, {"a": "ed\nit"}, True),
        ({"a": "/^\\d$/"}, {"a": "٣"}, False),
        ({"a": "/1/"}, {"a": 1}, False),
        ({"a": "/.*/"}, {}, False),
        ({"a": "/^(?!.*(?:commons|meta|sources|species|wikidata)).*wiki$/"}, {"a": "dewiki"}, True),
        ({"a": "/^(?!.*(?:commons|meta|sources|species|wikidata)).*wiki$/"}, {"a": "commonswiki"}, False),
        # what ChangeProp takes for a literal
        ({"a": "//"}, {"a": "//"}, True),
        ({"a": "/x"}, {"a": "/x"}, True),
        ({"a": "/x/s"}, {"a": "x"}, False),
        ({"a": "/x/s"}, {"a": "/x/s"}, True),
        # each item listed must be found
        ({"a": ["bot"]}, {"a": ["user", "bot"]}, True),
        ({"a": ["bot", "/^us/"]}, {"a": ["user", "bot"]}, True),
        ({"a": ["bot", "sysop"]}, {"a": ["user", "bot"]}, False),
        ({"a": ["bot"]}, {"a": "bot"}, False),
        ({"a": ["bot"]}, {}, False),
        ({"a": []}, {"a": []}, True),
        ({"a": []}, {"a": {}}, False),
        ({"a": [{"b": 1}]}, {"a": [None, {"b": 2}, {"b": 1}]}, False),
        ({"a": [[1]]}, {"a": [[2], [2, 1]]}, True),
        ({"a": [0]}, {"a": [0]}, False),
        ({"a": ["/.*/"]}, {"a": ["", "x"]}, False),
    ],
)
def test_match(match, event, expected):
    assert compile_rule(match)(event) is expected


def test_one_of_match_not_is_enough_to_refuse():
    rule = compile_rule({"a": 1}, [{"b": 1}, {"c": 1, "d": 1}])
    assert rule({"a": 1})
    assert rule({"a": 1, "c": 1})
    assert not rule({"a": 1, "b": 1})
    assert not rule({"a": 1, "c": 1, "d": 1})
    assert not rule({"b": 1})


def test_match_not_alone_matches_the_rest():
    rule = compile_rule({}, [{"performer": {"user_groups": ["bot"]}}])
    assert rule({"performer": {"user_groups": ["*", "user"]}})
    assert not rule({"performer": {"user_groups": ["bot", "*", "user"]}})


def test_a_rule_of_production():
    rule = compile_rule(
        {
            "wiki_id": "/^(en|pt|fr)wiki$/",
            "page_change_kind": "edit",
            "page": {"is_redirect": False, "namespace_id": 0},
            "meta": {"domain": r"/^(.*).wikipedia.org$/"},
        },
        [{"meta": {"domain": "canary"}}],
    )
    event = {
        "wiki_id": "ptwiki",
        "page_change_kind": "edit",
        "page": {"is_redirect": False, "namespace_id": 0},
        "meta": {"domain": "pt.wikipedia.org"},
    }
    assert rule(event)
    assert not rule(event | {"wiki_id": "dewiki"})
    assert not rule(event | {"page": {"namespace_id": 0}})
    assert not rule(event | {"meta": {"domain": "canary"}})


@pytest.mark.parametrize(
    "pattern",
    [
        "^(a+)+$",
        "^(a|a)*$",
        "(a|aa)+$",
        "^wiki(x+x+)+y",
        "^(\\w+\\s?)*$",
        "(.*)*x",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
    ],
)
def test_a_pattern_that_backtracks_for_ever_is_refused(pattern):
    with pytest.raises(RuleError, match="expected a pattern that ends soon on any text"):
        compile_rule({"page_title": f"/{pattern}/"})


@pytest.mark.parametrize(
    "pattern",
    [
        "^(?!.*(?:commons|meta|sources|species|wikidata)).*wiki$",
        "^(.*).wikipedia.org$",
        ".*",
        "^(en|pt|fr|ar|test)wiki$",
        "^(?:[A-Z]+_)?\\d{1,8}$",
    ],
)
def test_patterns_of_production_are_not(pattern):
    assert compile_rule({"page_title": f"/{pattern}/"})


def test_what_cannot_be_compiled_is_named_all_at_once():
    with pytest.raises(RuleError) as error:
        compile_rule({"a": {"b": "/(x/"}, "c": None, "d": "/x/gg"}, [{}, {"e": ["/[b-a]/", {}]}])
    assert error.value.problems == (
        "match.a.b: expected a regular expression of JavaScript, got '/(x/' (Unbalanced parenthesis); "
        "repair the pattern",
        "match.c: expected text, a number, true, false, a list or a mapping, got null; quote it, or write "
        "'undefined' for a missing field",
        "match.d: expected a regular expression of JavaScript, got '/x/gg' (flags given twice: gg); repair "
        "the pattern",
        "match_not[0]: expected at least one field, got an empty mapping; name a field or leave "
        "match_not[0] out",
        "match_not[1].e[0]: expected a regular expression of JavaScript, got '/[b-a]/' "
        "(Range values reversed, start char code is greater than end char code.); repair the pattern",
        "match_not[1].e[1]: expected at least one field, got an empty mapping; name a field or leave "
        "e[1] out",
    )
    assert str(error.value) == "\n".join(error.value.problems)
