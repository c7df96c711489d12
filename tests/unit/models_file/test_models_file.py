"""What a models file can say, and what is told of one that is wrong as a whole."""

from __future__ import annotations

import pytest

from pipeline.config.models_file import ConfigurationError, load
from tests.support.models_files import HEAD, KINDS, REPAIRED_TEMPLATE, TEMPLATE, URL, damaging
from transforms.models.model import Endpoint, LiftWingSettings

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
