"""What a models file can have wrong in a model."""

from __future__ import annotations

import pytest

from tests.support.models_files import HEAD, KINDS, MODEL_KEYS, damaging


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("namspace: x", f"namspace: expected one of {MODEL_KEYS}, got 'namspace'; did you mean namespace?"),
        ("colour: red", f"colour: expected one of {MODEL_KEYS}, got 'colour'; remove it or correct it"),
        ("on: edits", f"on: expected one of {KINDS}, got 'edits'; write on: edit"),
        ("on: [edit]", f"on: expected one of {KINDS}, got a list; write on: edit"),
        ("on: true", f"on: expected one of {KINDS}, got true; write on: edit"),
        (
            "url: inference",
            "url: expected an http or https address without user, query or fragment, got 'inference'; "
            "write url: https://inference.discovery.wmnet:30443",
        ),
        (
            "concurrency: true",
            "concurrency: expected a whole number, 0 to let the requests wait, got true; write "
            "concurrency: 5",
        ),
        (
            "concurrency: 2.0",
            "concurrency: expected a whole number, 0 to let the requests wait, got 2.0; write concurrency: 5",
        ),
        (
            "concurrency: '8'",
            "concurrency: expected a whole number, 0 to let the requests wait, got '8'; write concurrency: 5",
        ),
        (
            "concurrency:",
            "concurrency: expected a whole number, 0 to let the requests wait, got nothing; write "
            "concurrency: 5",
        ),
        ("enabled: no", "enabled: expected true or false, got 'no'; write enabled: false"),
        ("enabled: 0", "enabled: expected true or false, got 0; write enabled: false"),
        (
            "stream: a/b",
            "stream: expected a stream name of letters, digits and ._-, got 'a/b'; write stream: "
            "mediawiki.revision-score.error",
        ),
        ("match: enwiki", "match: expected a mapping, got 'enwiki'; write match: {page_namespace: 0}"),
        (
            "match: {meta: {domain: /(en/}}",
            "match.meta.domain: expected a regular expression of JavaScript, got '/(en/' (Unbalanced "
            "parenthesis); repair the pattern",
        ),
        (
            "match: {meta: {}}",
            "match.meta: expected at least one field, got an empty mapping; name a field or leave meta out",
        ),
        (
            "match: {a: null}",
            "match.a: expected text, a number, true, false, a list or a mapping, got null; quote it, or "
            "write 'undefined' for a missing field",
        ),
        (
            "match_not: [bot]",
            "match_not: expected a mapping or a list of mappings, got a list; write match_not: "
            "[{performer: {user_groups: [bot]}}]",
        ),
        (
            "match_not: [{a: 1}, {b: /x/ii}]",
            "match_not[1].b: expected a regular expression of JavaScript, got '/x/ii' (flags given twice: "
            "ii); repair the pattern",
        ),
        ("on: edit\n    on: edit", "on: expected once, got on line 7 and again on line 8; remove one"),
        ("match: {1: x}", "match.1: expected text as a key, got 1 on line 7; write it in quotes"),
    ],
)
def test_a_wrong_line_of_a_model(problems, line, problem):
    assert problems(damaging(line)) == [f"models.yaml: models.damaging.{problem}"]


@pytest.mark.parametrize(
    ("wikis", "problem"),
    [
        (
            "enwiki",
            "wikis: expected a mapping or a list of database names, got 'enwiki'; write wikis: [enwiki]",
        ),
        (
            "dewiki",
            "wikis: expected a mapping or a list of database names, got 'dewiki'; write wikis: [dewiki]",
        ),
        ("7", "wikis: expected a mapping or a list of database names, got 7; write wikis: [enwiki]"),
        (
            "[]",
            "wikis: expected a mapping or a list of database names, got an empty list; write wikis: [enwiki]",
        ),
        (
            "{}",
            "wikis: expected a mapping or a list of database names, got an empty mapping; write wikis: "
            "[enwiki]",
        ),
        (
            "[dewiki, enwki]",
            "wikis[1]: expected a database name of the table of wikis, got 'enwki'; did you mean enwiki?",
        ),
        (
            "{enwki: {}}",
            "wikis.enwki: expected a database name of the table of wikis, got 'enwki'; did you mean enwiki?",
        ),
        (
            "[../../etc]",
            "wikis[0]: expected a database name of the table of wikis, got '../../etc'; remove it or "
            "correct it",
        ),
        (
            "[[enwiki]]",
            "wikis[0]: expected a database name of the table of wikis, got a list; did you mean enwiki?",
        ),
        ("[enwiki, dewiki, enwiki]", "wikis[2]: expected each wiki once, got 'enwiki' again; remove it"),
        ("{enwiki: }", "wikis.enwiki: expected a mapping, got nothing; write enwiki: {}"),
        ("{enwiki: edit}", "wikis.enwiki: expected a mapping, got 'edit'; write enwiki: {}"),
        (
            "{enwiki: {concurency: 5}}",
            "wikis.enwiki.concurency: expected one of on, concurrency, enabled, got 'concurency'; did you "
            "mean concurrency?",
        ),
        (
            "{enwiki: {concurrency: -1}}",
            "wikis.enwiki.concurrency: expected a whole number, 0 to let the requests wait, got -1; write "
            "concurrency: 5",
        ),
        ("{enwiki: {on: no}}", f"wikis.enwiki.on: expected one of {KINDS}, got 'no'; write on: edit"),
        (
            "{enwiki: {}, enwiki: {}}",
            "wikis.enwiki: expected once, got on line 6 and again on line 6; remove one",
        ),
    ],
)
def test_wrong_wikis(problems, wikis, problem):
    assert problems(f"{HEAD}models:\n  damaging:\n    namespace: revscoring\n    wikis: {wikis}\n") == [
        f"models.yaml: models.damaging.{problem}"
    ]


def test_names_that_are_not_safe_in_a_url_or_a_host(problems):
    assert problems(f"{HEAD}models:\n  a/b: {{namespace: x.evil.org/, stream: s, wikis: [enwiki]}}\n") == [
        "models.yaml: models.a/b: expected a model name of a-z, 0-9, _ and -, got 'a/b'; use the name in "
        "Lift Wing's URL",
        "models.yaml: models.a/b.namespace: expected a Kubernetes namespace of a-z, 0-9, _ and -, got "
        "'x.evil.org/'; "
        "write namespace: revscoring-editquality-damaging",
    ]


def test_a_model_without_anything(problems):
    assert problems(f"{HEAD}models: {{damaging: {{}}, goodfaith: }}\n") == [
        "models.yaml: models.damaging.namespace: expected a Kubernetes namespace of a-z, 0-9, _ and -, got "
        "nothing; "
        "add namespace: revscoring-editquality-damaging",
        "models.yaml: models.damaging.wikis: expected a mapping or a list of database names, got nothing; "
        "add wikis: [enwiki]",
        "models.yaml: models.goodfaith: expected a mapping, got nothing; write goodfaith: {namespace: "
        "revscoring-editquality-damaging, wikis: [enwiki]}",
    ]
