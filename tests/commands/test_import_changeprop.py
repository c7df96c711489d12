"""ChangeProp's rules of production and of the chart's fixture as a models file: what they let through, and
what cannot be carried over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.models_file import load
from tests.support.commands import command, wrong_use
from tests.support.events import ABSENT, ROOT, edit
from tests.support.page_changes import CHANGE
from transforms.models.model import Configuration
from transforms.models.rules import compile_rule, mismatch

VALUES = ROOT / "tests" / "data" / "changeprop_liftwing_rules.yaml"
TOPICS = ("outlink-topic-model", "article-country", "revertrisk-language-agnostic")


def imported(at: str, folder: Path) -> Configuration:
    done = command("import-changeprop", VALUES, "--at", at)
    assert done.returncode == 0
    (folder / f"{at}.yaml").write_text(done.stdout, encoding="utf-8")
    return load(folder / f"{at}.yaml")


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return imported("production", tmp_path_factory.mktemp("production"))


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return imported("chart_fixture", tmp_path_factory.mktemp("fixture"))


def test_what_is_carried_over_and_what_is_not(production: Configuration, fixture: Configuration) -> None:
    assert sorted(production.models) == sorted(RULES)
    assert production.lift_wing.url == "https://inference.discovery.wmnet:30443"
    assert {name: model.source for name, model in production.models.items()} == dict.fromkeys(
        production.models, "page_change"
    )
    assert {
        endpoint.concurrency for endpoint in production.models["revertrisk-wikidata"].endpoints.values()
    } == {2}
    assert (
        production.models["drafttopic"].endpoints["enwiki"].host
        == "enwiki-drafttopic.revscoring-drafttopic.wikimedia.org"
    )
    assert {name for name, model in fixture.models.items() if model.source == "revision_create"} == {
        *("goodfaith", "damaging", "reverted", "articletopic", "articlequality", "draftquality")
    }
    assert len(fixture.models) == 12
    assert (
        "damaging.kafka_topic: mediawiki.page.change is no stream of its own kind here; read it with "
        "stream --input-topics, as revision_create"
        in command("import-changeprop", VALUES, "--at", "chart_fixture").stderr.splitlines()
    )


def changed(**fields: Any) -> dict[str, Any]:
    """The page change with other values for some fields, of its page, its meta or itself."""
    event: dict[str, Any] = {**CHANGE, "page": dict(CHANGE["page"]), "meta": dict(CHANGE["meta"])}
    for name, value in fields.items():
        place = (
            event["page"]
            if name in ("is_redirect", "namespace_id")
            else event["meta"]
            if name == "domain"
            else event
        )
        if value is ABSENT:
            del place[name]
        else:
            place[name] = value
    return event


OF_ARTICLES = [
    ({}, True),
    ({"page_change_kind": "create"}, True),
    ({"page_change_kind": "move"}, True),
    ({"page_change_kind": "delete"}, False),
    ({"page_change_kind": "edits"}, False),
    ({"page_change_kind": ABSENT}, False),
    ({"is_redirect": True}, False),
    ({"is_redirect": None}, False),
    ({"is_redirect": ABSENT}, False),
    ({"namespace_id": 1}, False),
    ({"namespace_id": "0"}, False),
    ({"namespace_id": 0.0}, True),
    ({"namespace_id": False}, False),
    ({"domain": "canary"}, False),
    ({"page": None}, False),
    ({"page": "a page"}, False),
    ({"wiki_id": ["enwiki"]}, False),
]
OF_WIKIPEDIAS = [
    *OF_ARTICLES,
    ({"wiki_id": "mediawikiwiki"}, True),
    ({"wiki_id": "incubatorwiki"}, True),
    ({"wiki_id": "commonswiki"}, False),
    ({"wiki_id": "metawiki"}, False),
    ({"wiki_id": "sourceswiki"}, False),
    ({"wiki_id": "specieswiki"}, False),
    ({"wiki_id": "wikidatawiki"}, False),
    ({"wiki_id": "testwikidatawiki"}, False),
    ({"wiki_id": "enwikibooks"}, False),
    ({"wiki_id": "ENWIKI"}, False),
    ({"wiki_id": "enwiki\n"}, False),
]
OF_MULTILINGUAL = [
    *OF_ARTICLES,
    ({"wiki_id": "testwiki", "domain": "test.wikipedia.org"}, True),
    ({"wiki_id": "zhwiki", "domain": "zh.wikipedia.org"}, True),
    ({"wiki_id": "zh_yuewiki"}, False),
    ({"wiki_id": "simplewiki"}, False),
    ({"domain": "en.wiktionary.org"}, False),
    ({"domain": ".wikipedia.org"}, True),
    ({"domain": "en.wikipedia.org.example"}, False),
    ({"domain": "en-wikipedia-org"}, True),
    ({"domain": "x.wikipediaxorg"}, True),
    ({"domain": ABSENT}, False),
]
OF_WIKIDATA = [
    (
        {
            **fields,
            "wiki_id": fields.get("wiki_id", "wikidatawiki"),
            "domain": fields.get("domain", "www.wikidata.org"),
        },
        outcome,
    )
    for fields, outcome in [
        *OF_ARTICLES,
        ({"wiki_id": "testwikidatawiki"}, False),
        ({"domain": "wikidata.org"}, False),
        ({"domain": ABSENT}, False),
    ]
]
OF_TONES = [
    *((fields, outcome and "page_change_kind" not in fields) for fields, outcome in OF_ARTICLES),
    ({"wiki_id": "testwiki"}, True),
    ({"wiki_id": "ptwiki", "domain": "pt.wikipedia.org"}, True),
    ({"wiki_id": "dewiki"}, False),
    ({"wiki_id": "frwikibooks"}, False),
    ({"domain": "en.wiktionary.org"}, False),
]
OF_DRAFTS = [
    ({}, True),
    ({"page_change_kind": "create"}, True),
    ({"page_change_kind": "move"}, False),
    ({"page_change_kind": "undelete"}, False),
    ({"page_change_kind": ["edit"]}, False),
    ({"page_change_kind": None}, False),
    ({"wiki_id": "frwiki"}, False),
    ({"wiki_id": "enwiki "}, False),
    ({"wiki_id": ABSENT}, False),
    ({"is_redirect": True}, True),
    ({"namespace_id": 118}, True),
]
RULES = {
    **dict.fromkeys(TOPICS, OF_WIKIPEDIAS),
    "revertrisk-multilingual": OF_MULTILINGUAL,
    "revertrisk-wikidata": OF_WIKIDATA,
    "drafttopic": OF_DRAFTS,
}
RULES["revise-tone-task-generator"] = OF_TONES


@pytest.mark.parametrize(
    ("model", "fields", "outcome"), [(model, *case) for model, cases in RULES.items() for case in cases]
)
def test_a_rule_of_production_lets_through_what_it_does_there(
    production: Configuration, model: str, fields: dict[str, Any], outcome: bool
) -> None:
    rule, event = production.models[model], changed(**fields)
    assert compile_rule(rule.match, rule.match_not)(event) is outcome
    assert (mismatch(rule.match, rule.match_not, event) is None) is outcome


OF_ENWIKI = [
    *((fields, outcome and fields != {"page_change_kind": "move"}) for fields, outcome in OF_ARTICLES),
    ({"wiki_id": "frwiki"}, False),
    ({"wiki_id": "enwikibooks"}, False),
]
OF_TONES_EVERYWHERE = [
    *((fields, outcome and "page_change_kind" not in fields) for fields, outcome in OF_ARTICLES),
    ({"wiki_id": "dewiki"}, False),
    ({"domain": "en.wiktionary.org"}, True),
]
RULES_OF_PAGE_CHANGES = {
    **dict.fromkeys((*TOPICS, "revertrisk-multilingual"), OF_ENWIKI),
    "revise-tone-task-generator": OF_TONES_EVERYWHERE,
    "drafttopic": OF_DRAFTS,
}


@pytest.mark.parametrize(
    ("model", "fields", "outcome"),
    [(model, *case) for model, cases in RULES_OF_PAGE_CHANGES.items() for case in cases],
)
def test_a_rule_of_the_fixture_lets_page_changes_through_as_there(
    fixture: Configuration, model: str, fields: dict[str, Any], outcome: bool
) -> None:
    rule = fixture.models[model]
    assert compile_rule(rule.match, rule.match_not)(changed(**fields)) is outcome


@pytest.mark.parametrize(
    ("meta", "outcome"),
    [
        ({"domain": "enwiki"}, True),
        ({"domain": "zhwiki", "id": 1}, True),
        ({"domain": "frwiki"}, False),
        ({"domain": "en.wikipedia.org"}, False),
        ({"domain": "enwiki "}, False),
        ({"domain": "ENWIKI"}, False),
        ({"domain": ["enwiki"]}, False),
        ({"domain": None}, False),
        ({"domain": 7}, False),
        ({}, False),
        (None, False),
        ("enwiki", False),
        (ABSENT, False),
    ],
)
def test_the_rule_of_the_fixture_that_asks_for_a_domain(
    fixture: Configuration, meta: Any, outcome: bool
) -> None:
    rule = fixture.models["damaging"]
    assert compile_rule(rule.match, rule.match_not)(edit(meta=meta)) is outcome


OF_THE_FIXTURE = [
    (edit(), True),
    (edit(database="frwiki"), True),
    (edit(database=""), True),
    (edit(database=ABSENT), False),
    (edit(database=None), False),
    (edit(database=7), False),
    (edit(database=["enwiki"]), False),
    (edit(database={}), False),
    (edit(rev_id=ABSENT), True),
    (edit(page_namespace=-1), True),
]


@pytest.mark.parametrize(("event", "outcome"), OF_THE_FIXTURE)
@pytest.mark.parametrize("model", ["goodfaith", "reverted", "articletopic", "articlequality", "draftquality"])
def test_a_rule_of_the_fixture_wants_any_database_that_is_text(
    fixture: Configuration, model: str, event: dict[str, Any], outcome: bool
) -> None:
    rule = fixture.models[model]
    assert compile_rule(rule.match, rule.match_not)(event) is outcome


@pytest.mark.parametrize(
    ("match", "match_not", "event", "told"),
    [
        ({"a": {"b": 1}}, [], {"a": {"b": 2}}, "match.a.b: wanted 1, found 2"),
        ({"a": {"b": 1}}, [], {"a": {}}, "match.a.b: wanted 1, found nothing"),
        ({"a": {"b": 1}}, [], {}, 'match.a: wanted {"b": 1}, found nothing'),
        ({"a": 1, "b": "/^x/"}, [], {"a": 1, "b": "yx"}, 'match.b: wanted "/^x/", found "yx"'),
        ({"a": [1]}, [], {"a": [2]}, "match.a: wanted [1], found [2]"),
        ({}, [{"c": 1}, {"a": {"b": 1}}], {"a": {"b": 1}}, 'match_not[1]: {"a": {"b": 1}} is so'),
        ({"a": 1}, [{"b": 1}], {"a": 1}, None),
    ],
)
def test_explain_tells_the_field(match: Any, match_not: Any, event: Any, told: str | None) -> None:
    assert mismatch(match, match_not, event) == told


def test_what_changeprop_refuses_is_refused_all_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        """main_app: {liftwing: {uri: http://localhost, models: {
  goodfaith: {match_config: {match: {database: '/(/'}}},
  damaging: {match_config: {match: {a: {}}, match_not: {b: null}}}, reverted: 7}}}
""",
        encoding="utf-8",
    )
    assert wrong_use("import-changeprop", values) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"revision-scores import-changeprop: {values}: main_app.liftwing.models: ChangeProp would not "
        "start with this:",
        "goodfaith.match_config.match.database: expected a regular expression of JavaScript, got '/(/' "
        "(Unbalanced parenthesis); repair the pattern",
        "damaging.match_config.match.a: expected at least one field, got an empty mapping; name a field or "
        "leave a out",
        "damaging.match_config.match_not[0].b: expected text, a number, true, false, a list or a mapping, "
        "got null; "
        "quote it, or write 'undefined' for a missing field",
        "reverted: expected a mapping, got 7",
    ]


def test_a_model_of_no_known_kind_is_left_out_and_named(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        "liftwing: {models: {goodfaith: {kafka_topic: mediawiki.revision-create, colour: red, "
        "message_wiki_selector: database}, other: {}}}\n"
    )
    done = command("import-changeprop", values)
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            "goodfaith.colour: not carried over, as nothing is known of it",
            "goodfaith: 35 wikis, those that Lift Wing has it for and the rule lets through",
            "other: left out, as no kind of model says how it is asked and what it answers",
        ],
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\n", "expected one mapping `liftwing` with `models`, got none"),
        (
            "a: {liftwing: {models: {x: {}}}}\nb: {liftwing: {models: {x: {}}}}\n",
            "got a.liftwing, b.liftwing; choose one with --at",
        ),
        ("a: [\n", "expected YAML"),
    ],
)
def test_a_file_without_the_block_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(text, encoding="utf-8")
    assert wrong_use("import-changeprop", values) == 2
    assert told in capsys.readouterr().err
