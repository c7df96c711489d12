"""Page changes and the newer models: what they are asked, in how many calls, and the events that come of
it."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

import schemas
from pipeline.config.models_file import ConfigurationError, load
from pipeline.config.topics import input_topics
from pipeline.main import main
from runners.simulated_lift_wing.scores import truth_of
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import command, events_file
from tests.support.events import ROOT, at
from tests.support.page_changes import CHANGE, MODELS, change
from transforms.elements import Score, ScoreRequest
from transforms.events.score_events import ScoreStream, prediction_change, revision_score, score_id
from transforms.events.source_events import event_of
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.client import LiftWingClient
from transforms.lift_wing.responses import Rejected, Unavailable
from transforms.models.adapters import KINDS
from transforms.models.model import Configuration
from transforms.models.selection import Selection
from transforms.models.wikis import shipped_wikis

RISK, OUTLINK, COUNTRY = "revertrisk-language-agnostic", "outlink-topic-model", "article-country"
OF_AN_ITEM: dict[str, Any] = orjson.loads((ROOT / "tests" / "data" / "page_change_1.6.0.json").read_bytes())
SCORE = Score("3", True, {"true": 0.75, "false": 0.25})
PATIENCE_S = 20


@pytest.fixture(scope="module")
def page_models() -> Configuration:
    return load(MODELS)


def selected(configuration: Configuration, event: dict[str, Any]) -> list[str]:
    return [endpoint.model for endpoint in Selection(configuration.models).endpoints(event)]


def test_rules_of_production_choose_the_models(page_models: Configuration) -> None:
    of_articles = [RISK, "revertrisk-multilingual", OUTLINK, COUNTRY, "articlequality_v2"]
    assert selected(page_models, CHANGE) == of_articles
    assert selected(page_models, change(1, "zh_yuewiki")) == [RISK, OUTLINK, COUNTRY, "articlequality_v2"]
    assert selected(page_models, OF_AN_ITEM) == ["revertrisk-wikidata"]
    assert selected(page_models, change(1, page_change_kind="delete")) == []
    assert selected(page_models, change(1, page={**CHANGE["page"], "is_redirect": True})) == []
    assert selected(page_models, change(1, "nosuchwiki")) == [OUTLINK]  # whose server has a table of its own


def test_a_stream_reads_what_its_models_want(shipped: Configuration, page_models: Configuration) -> None:
    assert input_topics(shipped, None) == [
        "eqiad.mediawiki.revision-create",
        "codfw.mediawiki.revision-create",
    ]
    assert input_topics(page_models, None) == [
        "eqiad.mediawiki.page_change.v1",
        "codfw.mediawiki.page_change.v1",
    ]
    both = replace(shipped, models={**shipped.models, **page_models.models})
    assert input_topics(both, None) == [
        f"{place}.mediawiki.{name}"
        for place in ("eqiad", "codfw")
        for name in ("revision-create", "page_change.v1")
    ]


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (RISK, {"instances": [{"rev_id": 7, "lang": "yue"}]}),
        ("revertrisk-multilingual", {"rev_id": 7, "lang": "yue"}),
        ("revertrisk-wikidata", {"rev_id": 7}),
        (OUTLINK, {"wiki_id": "zh_yuewiki", "page_id": 70793851, "revision_id": 7, "threshold": 0.0}),
        (COUNTRY, {"lang": "zh-yue", "title": "Anees_(musician)"}),
        ("articlequality_v2", {"instances": [{"rev_id": 7, "lang": "zh-yue"}]}),
        (
            "revise-tone-task-generator",
            {"event": {**CHANGE, "wiki_id": "zh_yuewiki", "revision": {**CHANGE["revision"], "rev_id": 7}}},
        ),
    ],
)
def test_each_kind_is_asked_in_its_words(
    page_models: Configuration, model: str, asked: dict[str, Any]
) -> None:
    from transforms.models.adapters import request_body

    request = ScoreRequest(event_of(change(7, "zh_yuewiki"), "eqiad"), model)
    assert (
        orjson.loads(request_body(KINDS[page_models.models[model].kind], [request], shipped_wikis())) == asked
    )


@pytest.mark.parametrize("event", [CHANGE, OF_AN_ITEM], ids=["1.3.0", "1.6.0"])
def test_what_the_schema_does_not_know_is_left_out(event: dict[str, Any]) -> None:
    built = prediction_change(
        event, ScoreStream(RISK, "a.stream", schemas.PREDICTION_CHANGE), SCORE, "2026-01-01T00:00:00Z"
    )
    schemas.validator(schemas.PREDICTION_CHANGE)(built)
    assert built["predicted_classification"] == {
        "model_name": RISK,
        "model_version": "3",
        "predictions": ["true"],
        "probabilities": {"true": 0.75, "false": 0.25},
    }
    assert built["meta"]["id"] == score_id(event, "a.stream")
    assert built["meta"]["request_id"] == event["meta"]["request_id"]
    assert "content_slots" not in built["revision"]
    assert built["performer"] == event["performer"]
    assert built["page"] == event["page"]
    for name in ("page_change_kind", "changelog_kind", "wiki_id", "dt"):
        assert built[name] == event[name]


def test_the_older_schema_is_kept_for_who_wants_it(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(
        MODELS.read_text(encoding="utf-8").replace("prediction_change: 1.3.0", "prediction_change: 1.1.0"),
        encoding="utf-8",
    )
    assert {model.schema for model in load(file).models.values()} == {schemas.PREDICTION_CHANGE_1_1}
    built = prediction_change(
        OF_AN_ITEM,
        ScoreStream(RISK, "a.stream", schemas.PREDICTION_CHANGE_1_1),
        SCORE,
        "2026-01-01T00:00:00Z",
    )
    schemas.validator(schemas.PREDICTION_CHANGE_1_1)(built)
    assert OF_AN_ITEM["performer"].keys() - built["performer"].keys() == {"user_central_id", "wiki_id"}
    assert OF_AN_ITEM["page"].keys() - built["page"].keys() == {"namespace_is_content"}
    file.write_text(
        file.read_text(encoding="utf-8").replace("prediction_change: 1.1.0", "prediction_change: 1.2"),
        encoding="utf-8",
    )
    with pytest.raises(
        ConfigurationError,
        match=r"streams\.prediction_change: expected a version of .*, 1\.3\.0 or 1\.1\.0, got 1\.2; write "
        r"prediction_change: 1\.3\.0",
    ):
        load(file)


def test_a_change_by_a_hidden_user_is_an_event(page_models: Configuration) -> None:
    hidden = {name: value for name, value in CHANGE.items() if name != "performer"}
    built = prediction_change(
        hidden, ScoreStream(RISK, "a.stream", schemas.PREDICTION_CHANGE), SCORE, "2026-01-01T00:00:00Z"
    )
    assert "performer" not in built
    schemas.validator(schemas.PREDICTION_CHANGE)(built)
    with pytest.raises(schemas.InvalidEventError, match="performer"):
        schemas.validator(schemas.PREDICTION_CHANGE_1_1)(
            prediction_change(
                hidden, ScoreStream(RISK, "a", schemas.PREDICTION_CHANGE_1_1), SCORE, "2026-01-01T00:00:00Z"
            )
        )


def test_a_revision_score_may_come_of_a_page_change() -> None:
    built = revision_score(CHANGE, ScoreStream("drafttopic", "a.stream"), SCORE, "2026-01-01T00:00:00Z")
    schemas.validator(schemas.REVISION_SCORE)(built)
    told = CHANGE["performer"]
    assert {
        name: value
        for name, value in built.items()
        if name.startswith(("rev_", "page_")) or name in ("database", "dt")
    } == {
        "database": "enwiki",
        "dt": "2025-10-29T11:05:00Z",
        "page_id": 70793851,
        "page_title": "Anees_(musician)",
        "page_namespace": 0,
        "page_is_redirect": False,
        "rev_id": 1319367938,
        "rev_parent_id": 1319295223,
        "rev_timestamp": "2025-10-29T11:05:00Z",
    }
    assert built["performer"] == {
        "user_text": "Rap no Davinci",
        "user_groups": told["groups"],
        "user_is_bot": False,
        "user_id": told["user_id"],
        "user_registration_dt": told["registration_dt"],
        "user_edit_count": told["edit_count"],
    }


def ask_all(
    page_models: Configuration, lift_wing: SimulatedLiftWing, model: str, wanted: list[tuple[str, int]]
) -> dict[tuple[str, int], CallResult]:
    configuration = at(page_models, lift_wing.url)
    asking = LiftWingClient(configuration.lift_wing)
    found: dict[tuple[str, int], Future[CallResult]] = {key: Future() for key in wanted}
    try:
        for (wiki, rev_id), future in found.items():
            endpoint = configuration.models[model].endpoint(wiki)
            assert endpoint
            asking.submit(
                endpoint,
                ScoreRequest(event_of(change(rev_id, wiki), "eqiad"), model),
                future.set_result,
            )
        return {key: future.result(PATIENCE_S) for key, future in found.items()}
    finally:
        asking.close()


def http_calls(lift_wing: SimulatedLiftWing, model: str) -> int:
    total: int = lift_wing.stats()["calls"][model]["total"]
    return total


WANTED = [
    (wiki, 1000 * index + number)
    for number in range(40)
    for index, wiki in enumerate(("enwiki", "frwiki", "zh_yuewiki", "dewiki", "itwiki"))
]


def test_revertrisk_answers_many_of_one_language_at_once(
    page_models: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="slow", seconds=0.2, model=RISK)
    answers = ask_all(page_models, lift_wing, RISK, WANTED)
    assert http_calls(lift_wing, RISK) <= 20
    assert set(lift_wing.calls().values()) == {1}
    for (_, rev_id), answer in answers.items():
        said = truth_of(RISK, rev_id)
        assert answer.result == Score("3", said["prediction"], said["probability"])


def test_what_fails_in_a_call_of_many_fails_alone_with_its_own_reason(
    page_models: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    failing = {3, 2005, 4039}
    for rev_id in failing:
        lift_wing.control(mode="status", status=422, rev_id=rev_id)
    answers = ask_all(page_models, lift_wing, RISK, WANTED)
    assert {
        rev_id for (_, rev_id), answer in answers.items() if not isinstance(answer.result, Score)
    } == failing
    for (_, rev_id), answer in answers.items():
        if rev_id in failing:
            assert isinstance(answer.result, Rejected)
            assert f"Could not make prediction for revision {rev_id} " in str(answer.result)


def test_a_call_that_fails_as_a_whole_is_asked_again_one_by_one(
    page_models: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="status", status=400, body={"detail": "no such revision"}, rev_id=7)
    answers = ask_all(page_models, lift_wing, RISK, [("enwiki", rev_id) for rev_id in range(20)])
    assert [rev_id for (_, rev_id), answer in answers.items() if isinstance(answer.result, Rejected)] == [7]
    assert http_calls(lift_wing, RISK) == 21


def test_an_event_without_what_is_asked_by_is_a_failure(
    page_models: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    configuration = at(page_models, lift_wing.url)
    asking = LiftWingClient(configuration.lift_wing)
    endpoint, future = configuration.models[COUNTRY].endpoint("enwiki"), Future[CallResult]()
    assert endpoint
    asking.submit(endpoint, ScoreRequest(event_of(change(1, page={}), "eqiad"), COUNTRY), future.set_result)
    assert (
        str(future.result(PATIENCE_S).result)
        == "article-country is asked by page.page_title, of which the event says nothing"
    )
    asking.close()


@pytest.mark.parametrize("model", [RISK, COUNTRY])
def test_another_project_is_not_taken_for_the_wikipedia_of_its_language(
    page_models: Configuration, lift_wing: SimulatedLiftWing, model: str
) -> None:
    answers = ask_all(
        page_models,
        lift_wing,
        model,
        [("mediawikiwiki", 1), ("enwiki", 2), ("incubatorwiki", 3), ("testwiki", 4)],
    )
    assert [rev_id for (_, rev_id), answer in answers.items() if isinstance(answer.result, Score)] == [2, 4]
    assert (
        str(answers["mediawikiwiki", 1].result)
        == f"{model} serves Wikipedias, of which mediawikiwiki is none in the table of wikis"
    )
    assert (
        str(answers["incubatorwiki", 3].result)
        == f"{model} serves Wikipedias, of which incubatorwiki is none in the table of wikis"
    )


def test_datasets_of_page_changes(
    lift_wing: SimulatedLiftWing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [change(rev_id, wiki) for rev_id, wiki in enumerate(("enwiki", "frwiki", "zh_yuewiki") * 4, 1)]
    refused = {**OF_AN_ITEM, "changelog_kind": "swap", "revision": {**OF_AN_ITEM["revision"], "rev_id": 8}}
    source = events_file(tmp_path / "in.jsonl", *changes, OF_AN_ITEM, refused)
    where = [
        "--models",
        str(MODELS),
        "--input",
        str(source),
        "--output",
        str(tmp_path / "out"),
        "--lift-wing",
        lift_wing.url,
    ]
    done = command("regenerate", *where)
    assert (done.returncode, done.stderr) == (1, "")
    assert "changelog_kind must be one of" in done.stdout
    tables = {
        path.name
        for path in (tmp_path / "out").glob("mediawiki_*")
        if any(pq.read_metadata(part).num_rows for part in path.rglob("part-*"))
    }
    risk = "mediawiki_page_revert_risk_prediction_change_v1"
    assert tables == {
        risk,
        "mediawiki_page_revert_risk_multilingual_prediction_change_v1",
        "mediawiki_page_revert_risk_wikidata_prediction_change_v1",
        "mediawiki_page_outlink_topic_prediction_change_v1",
        "mediawiki_article_country_prediction_change_v1",
        "mediawiki_page_article_quality_prediction_change_v1",
        "mediawiki_page_prediction_change_error",
    }
    (part,) = (tmp_path / "out" / risk).rglob("part-*.parquet")
    rows = [
        row
        for batch in pq.read_table(part, partitioning=None).to_batches()
        for row in schemas.events_of_batch(batch)
    ]
    for row in rows:
        schemas.validator(schemas.PREDICTION_CHANGE)(row)
    assert Counter((row["wiki_id"], row["revision"]["rev_id"]) for row in rows) == Counter(
        (each["wiki_id"], each["revision"]["rev_id"]) for each in changes
    )
    assert [
        row["predicted_classification"]["probabilities"] for row in rows if row["revision"]["rev_id"] == 5
    ] == [truth_of(RISK, 5)["probability"]]
    found = ["scores", str(tmp_path / "out"), "--models", str(MODELS), "--wiki", "frwiki", "--rev-id", "5"]
    assert main(found) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        RISK,
        "revertrisk-multilingual",
        OUTLINK,
        COUNTRY,
        "articlequality_v2",
    ]
    audit = [
        "audit",
        "--models",
        str(MODELS),
        "--input",
        str(source),
        "--scores",
        str(tmp_path / "out"),
        "--json",
    ]
    assert main(audit) == 1
    holes = [
        told
        for told in map(orjson.loads, capsys.readouterr().out.splitlines())
        if told["failed"] or told["missing"] or told["older"]
    ]
    assert [(told["model"], told["expected"], told["failed"]) for told in holes] == [
        ("revertrisk-wikidata", 2, 1)
    ]


def test_an_entry_that_does_not_fit_its_kind_is_told(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(
        """lift_wing: {url: "http://127.0.0.1:1"}
streams: {score: "s-{model}", failure: f}
models:
  a: {namespace: n, wikis: all, kind: revertrisk}
  b: {namespace: n, wikis: all, kind: revertrisk, source: revision_create, stream: b}
  c: {namespace: n, wikis: all, source: page_change, on: main_edit}
  d: {namespace: n, wikis: all, kind: revrisk}
""",
        encoding="utf-8",
    )
    with pytest.raises(ConfigurationError) as error:
        load(file)
    stream = "mediawiki.page_revert_risk_prediction_change.v1"
    assert str(error.value).replace(f"{file}: ", "").splitlines() == [
        f"models.a.stream: expected the model's own stream, got nothing; add stream: {stream}",
        "models.b.source: expected page_change for a model of the kind revertrisk, got 'revision_create'; "
        "write source: page_change",
        "models.c.on: expected edit with page changes, whose kinds match tells, got 'main_edit'; write "
        "match: {page_change_kind: edit}",
        f"models.d.kind: expected one of {', '.join(KINDS)}, got 'revrisk'; write kind: revscoring",
    ]


def test_a_model_of_all_wikis_can_be_asked_for_some(page_models: Configuration) -> None:
    from pipeline.config.overrides import Overrides, apply_overrides

    chosen = apply_overrides(page_models, Overrides(only=RISK, wikis="frwiki"))
    assert selected(chosen, change(1, "frwiki")) == [RISK]
    assert selected(chosen, change(1, "enwiki")) == []
    assert replace(chosen, models={}) == replace(page_models, models={})


def test_models_of_a_wiki_are_those_of_all_wikis_too_whose_rules_let_it_in(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from pipeline.main import main

    assert main(["models", "--models", str(MODELS), "enwiki"]) == 0
    _, *found, _, last = capsys.readouterr().out.splitlines()
    assert [row.split()[:2] for row in found] == [
        ["*", model] for model in sorted({row.split()[1] for row in found})
    ]
    assert {"article-country", "revertrisk-multilingual"} <= {row.split()[1] for row in found}
    assert "revertrisk-wikidata" not in {row.split()[1] for row in found}
    assert last.startswith(f"{len(found)} endpoints, ")
    assert main(["models", "--models", str(MODELS), "enwiktionary"]) == 2
    assert (
        "no model serves 'enwiktionary': all are for the wikis that their rules (match) let in"
        in capsys.readouterr().err
    )
    assert main(["models", "--models", str(MODELS), "nosuchwiki"]) == 2
    assert "no model serves 'nosuchwiki'; expected a database name such as enwiki" in capsys.readouterr().err


def test_a_wiki_that_is_away_is_known_by_the_words_of_each_model_server(
    page_models: Configuration, lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="mediawiki")
    for model in page_models.models:
        (answer,) = ask_all(
            page_models,
            lift_wing,
            model,
            [("enwiki" if page_models.models[model].endpoint("enwiki") else "wikidatawiki", 7)],
        ).values()
        assert isinstance(answer.result, Unavailable), (model, answer.result)
