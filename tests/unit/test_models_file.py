"""The shipped models file against the tables of Lift Wing and ORES, and each thing that a models file can
have wrong."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from pipeline.config.models_file import ConfigurationError, load
from tests.support.events import ROOT
from transforms.models.model import Configuration, Endpoint, LiftWingSettings
from transforms.models.wikis import shipped_wikis

SHIPPED = ROOT / "pipeline" / "models.yaml"
DATA = ROOT / "tests" / "data"
KINDS = (
    "edit, main_edit, bot_edit, nonbot_edit, page_creation, main_creation, bot_page_creation, "
    "nonbot_page_creation"
)
LIFT_WING_KEYS = "url, timeout_s, max_age_s, in_flight, calls_per_s, ca_file, token_file, contact"
MODEL_KEYS = (
    "namespace, on, concurrency, enabled, url, stream, match, match_not, call_s, mediawiki_calls, "
    "wikis, kind, source, service"
)
HEAD = """\
lift_wing: {url: "https://lift.wing"}
streams: {score: "revision-score-{model}", failure: revision-score.error}
"""


def damaging(line: str) -> str:
    """A models file that is right but for one line of its model."""
    return f"{HEAD}models:\n  damaging:\n    namespace: revscoring\n    wikis: [enwiki]\n    {line}\n"


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read_text(text: str | bytes) -> Configuration:
        Path("models.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load("models.yaml")

    return read_text


@pytest.fixture
def problems(read):
    def problems_of(text: str | bytes) -> list[str]:
        with pytest.raises(ConfigurationError) as error:
            read(text)
        return str(error.value).splitlines()

    return problems_of


@pytest.fixture(scope="module")
def shipped() -> Configuration:
    return load(SHIPPED)


def endpoints(configuration: Configuration) -> list[Endpoint]:
    return [endpoint for model in configuration.models.values() for endpoint in model.endpoints.values()]


# The shipped file


def test_the_shipped_file_has_the_endpoints_of_lift_wing(shipped):
    table = yaml.safe_load((DATA / "lift_wing_endpoints.yaml").read_text())
    assert {(e.model, e.namespace, e.wiki) for e in endpoints(shipped)} == {
        (name, row["namespace"], wiki) for name, row in table.items() for wiki in row["wikis"]
    }
    assert len(endpoints(shipped)) == 109
    assert Counter(e.model for e in endpoints(shipped)) == {
        "damaging": 35,
        "goodfaith": 35,
        "articlequality": 13,
        "articletopic": 10,
        "reverted": 9,
        "draftquality": 4,
        "drafttopic": 1,
        "itemquality": 1,
        "itemtopic": 1,
    }


def test_the_shipped_file_scores_what_ores_precached(shipped):
    ores = {
        (wiki, model): kind
        for wiki, row in yaml.safe_load((DATA / "ores_precache.yaml").read_text()).items()
        for model, kind in row.items()
    }
    not_on_lift_wing = {
        ("eswikibooks", "reverted"),
        ("frwikisource", "pagelevel"),
        ("simplewiki", "articletopic"),
        ("testwiki", "articletopic"),
    }
    active = {(e.wiki, e.model): e.on for e in endpoints(shipped) if e.enabled}
    assert active == {pair: kind for pair, kind in ores.items() if pair not in not_on_lift_wing}
    assert len(ores) == 96
    assert len(active) == 92
    assert Counter(e.model for e in endpoints(shipped) if not e.enabled) == {
        "articlequality": 9,
        "draftquality": 4,
        "damaging": 2,
        "goodfaith": 2,
    }


def test_the_shipped_file_names_streams_and_lift_wing(shipped):
    assert shipped.lift_wing == LiftWingSettings(
        "https://inference.discovery.wmnet:30443", 30.0, 3600.0, 2000, None
    )
    assert {name: model.stream for name, model in shipped.models.items()} == {
        name: f"mediawiki.revision-score-{name}" for name in shipped.models
    }
    assert shipped.failure_stream == "mediawiki.revision-score.error"
    assert shipped.datacenters == ("eqiad", "codfw")


def test_the_shipped_file_gives_more_calls_to_endpoints_with_more_replicas(shipped):
    usual = {"damaging": 12, "goodfaith": 11}
    assert {
        (e.wiki, e.model): e.concurrency for e in endpoints(shipped) if e.concurrency != usual.get(e.model, 5)
    } == {
        ("enwiki", "damaging"): 48,
        ("ruwiki", "damaging"): 48,
        ("wikidatawiki", "damaging"): 48,
        ("enwiki", "goodfaith"): 44,
        ("ruwiki", "goodfaith"): 22,
        ("wikidatawiki", "goodfaith"): 44,
        ("enwiki", "articlequality"): 10,
        ("wikidatawiki", "itemquality"): 17,
    }


def test_the_shipped_file_is_sorted(shipped):
    assert all(list(model.endpoints) == sorted(model.endpoints) for model in shipped.models.values())


def test_an_endpoint_is_called_as_lift_wing_wants(shipped):
    endpoint = shipped.models["itemquality"].endpoints["wikidatawiki"]
    assert endpoint.path == "/v1/models/wikidatawiki-itemquality:predict"
    assert endpoint.host == "wikidatawiki-itemquality.revscoring-articlequality.wikimedia.org"


def test_all_wikis_are_safe_in_a_url():
    assert len(shipped_wikis()) == 1073
    assert not [wiki for wiki in shipped_wikis().names if not re.fullmatch("[a-z0-9_]+", wiki)]


# What a file can say


def test_three_lines_are_a_model(read):
    configuration = read(
        f"{HEAD}models:\n  mymodel:\n    namespace: my-models\n    wikis: [enwiki, frwiki]\n"
    )
    model = configuration.models["mymodel"]
    assert model.stream == "revision-score-mymodel"
    assert model.endpoints == {
        wiki: Endpoint(wiki, "mymodel", "my-models", "edit", 5, True) for wiki in ("enwiki", "frwiki")
    }
    assert (model.match, model.match_not) == ({}, ())
    assert configuration.lift_wing == LiftWingSettings("https://lift.wing")
    assert configuration.datacenters == ("eqiad", "codfw")


def test_everything_said_is_read(read, tmp_path):
    (tmp_path / "ca.pem").write_text("-")
    configuration = read("""
lift_wing: {url: "http://localhost:8080/service/lw/", timeout_s: 0.5, max_age_s: 60, in_flight: 3,
            ca_file: ca.pem, calls_per_s: 2.5}
streams: {score: "revision_score_{model}", failure: failures, datacenters: [eqiad]}
models:
  damaging:
    namespace: revscoring
    on: main_edit
    concurrency: 7
    stream: My.stream_1
    call_s: 1.5
    mediawiki_calls: 3
    match: {database: /^en/, page_is_redirect: False, comment: no, meta: {dt: 2024-02-15}}
    match_not: [{performer: {user_groups: [bot]}}, {rev_id: 1}]
    wikis:
      enwiki: {}
      frwiki: {on: nonbot_edit, concurrency: 8}
      dewiki: {enabled: false}
  goodfaith:
    namespace: revscoring
    enabled: false
    match_not: {rev_id: 1}
    wikis: {enwiki: {enabled: true}}
""")
    assert configuration.lift_wing == LiftWingSettings(
        "http://localhost:8080/service/lw", 0.5, 60.0, 3, "ca.pem", 2.5
    )
    estimates = {name: (model.call_s, model.mediawiki_calls) for name, model in configuration.models.items()}
    assert estimates == {"damaging": (1.5, 3), "goodfaith": (0.5, 1)}
    assert (configuration.failure_stream, configuration.datacenters) == ("failures", ("eqiad",))
    model = configuration.models["damaging"]
    assert model.stream == "My.stream_1"
    assert model.match == {
        "database": "/^en/",
        "page_is_redirect": False,
        "comment": "no",
        "meta": {"dt": "2024-02-15"},
    }
    assert model.match_not == ({"performer": {"user_groups": ["bot"]}}, {"rev_id": 1})
    assert list(model.endpoints.values()) == [
        Endpoint("enwiki", "damaging", "revscoring", "main_edit", 7),
        Endpoint("frwiki", "damaging", "revscoring", "nonbot_edit", 8),
        Endpoint("dewiki", "damaging", "revscoring", "main_edit", 7, enabled=False),
    ]
    goodfaith = configuration.models["goodfaith"]
    assert goodfaith.match_not == ({"rev_id": 1},)
    assert not goodfaith.endpoints["enwiki"].enabled


def test_a_stopped_model_is_stopped_for_wikis_with_a_limit_of_their_own_too(read):
    configuration = read(
        damaging("concurrency: 0").replace("[enwiki]", "{enwiki: {concurrency: 48}, frwiki: {}}")
    )
    assert [endpoint.concurrency for endpoint in configuration.models["damaging"].endpoints.values()] == [
        0,
        0,
    ]


def test_an_anchor_spares_to_write_a_list_twice(read):
    configuration = read(
        f"{HEAD}models:\n  a: {{namespace: n, wikis: &all [enwiki, dewiki]}}\n  b: {{namespace: n, wikis: "
        f"*all}}\n"
    )
    assert list(configuration.models["b"].endpoints) == ["enwiki", "dewiki"]


# What a file can have wrong


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


URL = "url: expected an http or https address without user, query or fragment"


@pytest.mark.parametrize(
    ("lift_wing", "problem"),
    [
        ("{}", f"{URL}, got nothing; add url: https://inference.discovery.wmnet:30443"),
        *[
            (f'{{url: "{url}"}}', f"{URL}, got '{url}'; write url: https://inference.discovery.wmnet:30443")
            for url in (
                "inference:30443",
                "ftp://h",
                "https://",
                "https://h:x",
                "https://h:99999",
                "https://h/?a=b",
                "https://u@h",
                "http://a b",
                "http://[::1",
            )
        ],
        (
            "{url: http://h, timeout_s: 0}",
            "timeout_s: expected a number of seconds above 0, got 0; write timeout_s: 30",
        ),
        (
            "{url: http://h, timeout_s: true}",
            "timeout_s: expected a number of seconds above 0, got true; write timeout_s: 30",
        ),
        (
            "{url: http://h, max_age_s: .inf}",
            "max_age_s: expected a number of seconds above 0, got inf; write max_age_s: 30",
        ),
        (
            "{url: http://h, max_age_s: .nan}",
            "max_age_s: expected a number of seconds above 0, got nan; write max_age_s: 30",
        ),
        (
            "{url: http://h, in_flight: 1.5}",
            "in_flight: expected a whole number of at least 1, got 1.5; write in_flight: 5",
        ),
        (
            "{url: http://h, ca_file: none.pem}",
            "ca_file: expected a PEM file that exists, got 'none.pem'; write ca_file: "
            "/etc/ssl/certs/ca-certificates.crt",
        ),
        (
            "{url: http://h, timeout: 3}",
            "timeout: expected one of url, timeout_s, max_age_s, in_flight, calls_per_s, ca_file, "
            "token_file, contact, got 'timeout'; did you mean timeout_s?",
        ),
    ],
)
def test_a_wrong_lift_wing(problems, lift_wing, problem):
    text = damaging("").replace('{url: "https://lift.wing"}', lift_wing)
    assert problems(text) == [f"models.yaml: lift_wing.{problem}"]


TEMPLATE = "score: expected a stream name of letters, digits and ._- with {model} in it"
REPAIRED_TEMPLATE = 'score: "mediawiki.revision-score-{model}"'


@pytest.mark.parametrize(
    ("streams", "problem"),
    [
        ("{failure: f}", f"{TEMPLATE}, got nothing; add {REPAIRED_TEMPLATE}"),
        (
            "{failure: f, score: revision-score}",
            f"{TEMPLATE}, got 'revision-score'; write {REPAIRED_TEMPLATE}",
        ),
        (
            '{failure: f, score: "{wiki}-{model}"}',
            f"{TEMPLATE}, got '{{wiki}}-{{model}}'; write {REPAIRED_TEMPLATE}",
        ),
        ('{failure: f, score: "s {model}"}', f"{TEMPLATE}, got 's {{model}}'; write {REPAIRED_TEMPLATE}"),
        (
            '{score: "s-{model}"}',
            "failure: expected a stream name of letters, digits and ._-, got nothing; add failure: "
            "mediawiki.revision-score.error",
        ),
        (
            '{score: "s-{model}", failure: f, datacenters: eqiad}',
            "datacenters: expected a list of different datacenter names, got 'eqiad'; write datacenters: "
            "[eqiad, codfw]",
        ),
        (
            '{score: "s-{model}", failure: f, datacenters: [eqiad, eqiad]}',
            "datacenters: expected a list of different datacenter names, got a list; write datacenters: "
            "[eqiad, codfw]",
        ),
    ],
)
def test_wrong_streams(problems, streams, problem):
    text = re.sub("streams: .*", lambda _: f"streams: {streams}", damaging(""))
    assert problems(text) == [f"models.yaml: streams.{problem}"]


def test_each_stream_and_its_table_has_one_owner(problems):
    models = "".join(
        f"  {name}: {{namespace: n, wikis: [enwiki]{more}}}\n"
        for name, more in {
            "a": ", stream: x.y",
            "b": ", stream: x.y",
            "c": ", stream: X-y",
            "d": ", stream: revision-score.error",
            "e-e": "",
            "e_e": "",
        }.items()
    )
    assert problems(f"{HEAD}models:\n{models}") == [
        "models.yaml: models.b.stream: expected a stream of its own, got 'x.y', which is models.a.stream "
        "too; write another name",
        "models.yaml: models.c.stream: expected a stream of its own, got 'X-y', which has the Hive table "
        "x_y of models.a.stream 'x.y' too; write another name",
        "models.yaml: models.d.stream: expected a stream of its own, got 'revision-score.error', which is "
        "streams.failure too; write another name",
        "models.yaml: models.e_e.stream: expected a stream of its own, got 'revision-score-e_e', "
        "which has the Hive table revision_score_e_e of models.e-e.stream 'revision-score-e-e' too; write "
        "another name",
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


def test_a_file_without_anything_of_use(problems):
    assert problems("model: {}") == [
        "models.yaml: model: expected one of lift_wing, streams, models, wikis_file, got 'model'; did you "
        "mean models?",
        "models.yaml: lift_wing: expected a mapping, got nothing; add lift_wing: {url: "
        "https://inference.discovery.wmnet:30443}",
        "models.yaml: streams: expected a mapping, got nothing; "
        'add streams: {score: "mediawiki.revision-score-{model}", failure: mediawiki.revision-score.error}',
        "models.yaml: models: expected a mapping of at least one model, got nothing; "
        "add models: {damaging: {namespace: revscoring-editquality-damaging, wikis: [enwiki]}}",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected a mapping, got an empty file; see pipeline/models.yaml"),
        ("# nothing\n", "expected a mapping, got an empty file; see pipeline/models.yaml"),
        ("{}", "expected a mapping, got an empty mapping; see pipeline/models.yaml"),
        ("- a\n", "expected a mapping, got a list; see pipeline/models.yaml"),
        ("models", "expected a mapping, got 'models'; see pipeline/models.yaml"),
        (
            "a: 1\nb: [\nc: 2\n",
            "line 4: expected YAML, got: expected ',' or ']', but got '<stream end>'; repair the line or "
            "the one before it",
        ),
        (
            "a: 1\n  b: 2\n",
            "line 2: expected YAML, got: mapping values are not allowed here; repair the line or the one "
            "before it",
        ),
        (
            "a: 1\n---\nb: 1\n",
            "line 2: expected YAML, got: but found another document; repair the line or the one before it",
        ),
        (
            "a: 1\nb: &b {c: *b}\n",
            "line 2: expected YAML, got: an anchor that contains itself; repair the line or the one "
            "before it",
        ),
        (
            b"a: \xff\n",
            "expected YAML in UTF-8, got: unacceptable character #x00ff: invalid start byte in "
            '"models.yaml", position 3; save the file as UTF-8 text',
        ),
    ],
)
def test_a_file_that_is_no_mapping(problems, text, problem):
    assert problems(text) == [f"models.yaml: {problem}"]


def test_a_file_that_cannot_be_read(tmp_path):
    for path, reason in {
        tmp_path / "none.yaml": "No such file or directory",
        tmp_path: "Is a directory",
    }.items():
        with pytest.raises(ConfigurationError) as error:
            load(path)
        assert str(error.value) == f"{path}: expected a file that can be read, got: {reason}; check the path"


def test_all_errors_are_told_at_once_each_with_its_place(problems):
    assert problems("""
lift_wing: {url: lift.wing, in_flight: no}
streams: {score: scores, failure: f}
models:
  damaging: {namespace: n, wikis: enwiki}
  goodfaith: {namespace: n, wikis: {enwiki: {on: off}}, match: {database: /+/}}
  damaging: {namespace: n, wikis: [enwki]}
""") == [
        "models.yaml: models.damaging: expected once, got on line 5 and again on line 7; remove one",
        f"models.yaml: lift_wing.{URL}, got 'lift.wing'; write url: https://inference.discovery.wmnet:30443",
        "models.yaml: lift_wing.in_flight: expected a whole number of at least 1, got 'no'; write "
        "in_flight: 5",
        f"models.yaml: streams.{TEMPLATE}, got 'scores'; write {REPAIRED_TEMPLATE}",
        "models.yaml: models.damaging.wikis[0]: expected a database name of the table of wikis, got "
        "'enwki'; did you mean enwiki?",
        "models.yaml: models.goodfaith.match.database: expected a regular expression of JavaScript, got "
        "'/+/' (Invalid atom character); repair the pattern",
        f"models.yaml: models.goodfaith.wikis.enwiki.on: expected one of {KINDS}, got 'off'; write on: edit",
    ]


def test_what_a_message_proposes_is_right(read, problems):
    """From a file without anything, line by line as it is told."""
    text = "model: {}"
    repairs = [problem.partition("; add ")[2] for problem in problems(text)]
    assert (
        read("\n".join(repairs)).models["damaging"].endpoints["enwiki"].namespace
        == "revscoring-editquality-damaging"
    )
