"""Score events: exact for events as they were, and equal to what ORES made of the same revisions."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

import schemas
from runners.simulated_lift_wing import scores as simulated_scores
from tests.support.events import ABSENT, ROOT, edit, request
from transforms.build_revision_score import BuildRevisionScore
from transforms.elements import Failure, OutputEvent, Score, ScoreResponse
from transforms.events.json_text import json_text
from transforms.events.score_events import ScoreStream, predictions, revision_score, utc_now
from transforms.models.model import Configuration

PAIRS = [
    json.loads(line)
    for line in (ROOT / "tests" / "data" / "real_pairs.jsonl").read_text(encoding="utf-8").splitlines()
]
STREAM = "mediawiki.revision-score-damaging"
NOW = "2024-02-15T00:00:00.000000Z"
SCORE = Score("0.5.1", True, {"false": 0.25, "true": 0.75})
INVALID = "not valid against /mediawiki/revision/score/3.0.0: "


def build(
    raw: Mapping[str, Any], model: str = "damaging", stream: str = STREAM, score: Score = SCORE
) -> dict[str, Any]:
    event = revision_score(raw, ScoreStream(model, stream), score, NOW)
    schemas.validator("/mediawiki/revision/score/3.0.0")(event)
    return event


def as_version_2(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A 1.1.0 event as 2.0.0 has it: with its own `dt`, and not where EventStreams found it."""
    meta = {
        name: value for name, value in raw["meta"].items() if name not in ("topic", "partition", "offset")
    }
    return {**raw, "$schema": "/mediawiki/revision/create/2.0.0", "dt": raw["meta"]["dt"], "meta": meta}


# One event, field by field


def test_the_score_of_an_event_of_version_2() -> None:
    assert build(edit(), score=Score("0.5.1", True, {"false": 0.25, "true": 0.75})) == {
        "$schema": "/mediawiki/revision/score/3.0.0",
        "dt": "2021-08-27T13:20:10Z",
        "meta": {
            "stream": "mediawiki.revision-score-damaging",
            "id": "090f8e64-9989-5fdc-b6c6-19d4731760f7",
            "dt": "2024-02-15T00:00:00.000000Z",
            "domain": "en.wikipedia.org",
            "request_id": "835b4bb0-3e78-431c-89c7-e3b6a8441c86",
            "uri": "https://en.wikipedia.org/wiki/War_on_terror",
        },
        "database": "enwiki",
        "page_id": 4190179584,
        "page_is_redirect": False,
        "page_namespace": 0,
        "page_title": "War_on_terror",
        "rev_id": 1040920135,
        "rev_parent_id": 1040918697,
        "rev_timestamp": "2021-08-27T13:20:10Z",
        "performer": {
            "user_text": "Simurghistan",
            "user_groups": ["*", "user", "autoconfirmed"],
            "user_is_bot": False,
        },
        "scores": {
            "damaging": {
                "model_name": "damaging",
                "model_version": "0.5.1",
                "prediction": ["true"],
                "probability": {"false": 0.25, "true": 0.75},
            },
        },
    }


def test_the_score_of_an_event_of_version_1() -> None:
    raw = next(pair["event"] for pair in PAIRS if pair["event"]["database"] == "huwiki")
    assert build(raw, "articletopic", "scores", Score("1.4.0", ["STEM.STEM*"], {"STEM.STEM*": 1})) == {
        "$schema": "/mediawiki/revision/score/3.0.0",
        "dt": "2021-09-10T12:12:30Z",
        "meta": {
            "stream": "scores",
            "id": "0d48411c-cb1b-554a-8c35-aff703f37696",
            "dt": "2024-02-15T00:00:00.000000Z",
            "domain": "hu.wikipedia.org",
            "request_id": "bbd6c719-819e-4adc-9d18-174737851016",
            "uri": "https://hu.wikipedia.org/wiki/Vita:Challenger-katasztr%C3%B3fa",
        },
        "database": "huwiki",
        "page_id": 101077,
        "page_is_redirect": False,
        "page_namespace": 1,
        "page_title": "Vita:Challenger-katasztrófa",
        "rev_id": 24204859,
        "rev_parent_id": 14127691,
        "rev_timestamp": "2021-09-10T12:12:30Z",
        "performer": {
            "user_edit_count": 11895,
            "user_groups": ["trusted", "*", "user", "autoconfirmed"],
            "user_id": 9714,
            "user_is_bot": False,
            "user_registration_dt": "2006-10-18T15:14:57Z",
            "user_text": "Moonwalkr",
        },
        "scores": {
            "articletopic": {
                "model_name": "articletopic",
                "model_version": "1.4.0",
                "prediction": ["STEM.STEM*"],
                "probability": {"STEM.STEM*": 1},
            }
        },
    }


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (True, ["true"]),
        (False, ["false"]),
        ("Stub", ["Stub"]),
        (["STEM.STEM*", "Culture.Sports"], ["STEM.STEM*", "Culture.Sports"]),
        ([], []),
    ],
)
def test_a_prediction_is_a_list_of_text(prediction: bool | str | list[str], expected: list[str]) -> None:
    assert predictions(prediction) == expected


@pytest.mark.parametrize("model", simulated_scores.ENDPOINTS)
def test_what_each_model_answers_makes_a_valid_event(model: str) -> None:
    wiki = simulated_scores.ENDPOINTS[model]["wikis"][0]
    score = simulated_scores.score(wiki, model, 7)
    event = build(
        edit(database=wiki, rev_id=7), model, score=Score("1", score["prediction"], score["probability"])
    )
    assert event["scores"][model]["probability"] == score["probability"]


def test_what_the_event_lacks_the_score_lacks() -> None:
    for name in (
        "page_id",
        "page_title",
        "page_namespace",
        "page_is_redirect",
        "rev_parent_id",
        "rev_timestamp",
        "performer",
    ):
        for value in (ABSENT, None):
            expected = {key: value for key, value in build(edit()).items() if key != name}
            expected |= {"dt": edit()["dt"]} if name == "rev_timestamp" else {}
            assert build(edit(**{name: value})) == expected
    assert build(edit(performer={"user_text": "A", "user_id": None, "is_temp": True}))["performer"] == {
        "user_text": "A"
    }


def test_the_time_of_a_score_is_that_of_its_revision_then_that_of_its_event_then_that_of_its_meta() -> None:
    assert (
        build(edit(dt="2021-01-01T00:00:00Z"))["dt"]
        == build(edit(dt=ABSENT, meta=ABSENT))["dt"]
        == "2021-08-27T13:20:10Z"
    )
    assert build(edit(rev_timestamp=ABSENT, dt="2021-01-01T00:00:00Z"))["dt"] == "2021-01-01T00:00:00Z"
    assert (
        build(edit(rev_timestamp=ABSENT, dt=ABSENT, meta={"dt": "2021-01-02T00:00:00Z"}))["dt"]
        == "2021-01-02T00:00:00Z"
    )


# As ORES had it


def test_there_are_twenty_real_pairs() -> None:
    assert len(PAIRS) == 20
    assert {model for pair in PAIRS for model in pair["score"]["scores"]} == {
        *(
            "articlequality",
            "articletopic",
            "damaging",
            "drafttopic",
            "goodfaith",
            "itemquality",
            "itemtopic",
            "pagelevel",
            "reverted",
        )
    }


@pytest.mark.parametrize(
    "pair", PAIRS, ids=lambda pair: f"{pair['event']['database']}-{pair['event']['rev_id']}"
)
def test_the_event_says_what_ores_said(pair: dict[str, Any]) -> None:
    ores = pair["score"]
    for model, said in ores["scores"].items():
        built = build(
            pair["event"], model, score=Score(said["model_version"], said["prediction"], said["probability"])
        )
        assert built["scores"] == {model: said}
        assert {
            name: value for name, value in built.items() if name not in ("$schema", "dt", "meta", "scores")
        } == {name: value for name, value in ores.items() if name not in ("$schema", "meta", "scores")}
        for name in ("uri", "request_id", "domain"):
            assert built["meta"][name] == ores["meta"][name]


@pytest.mark.parametrize(
    "pair", PAIRS, ids=lambda pair: f"{pair['event']['database']}-{pair['event']['rev_id']}"
)
def test_both_versions_of_an_event_make_the_same_score(pair: dict[str, Any]) -> None:
    assert build(pair["event"]) == build(as_version_2(pair["event"]))


# The same work has the same id


def test_building_is_pure() -> None:
    seeded = random.Random(3)
    for _ in range(200):
        raw = edit(
            rev_id=seeded.randrange(2**53),
            page_namespace=seeded.randrange(-2, 200),
            database=seeded.choice(["enwiki", "frwiki"]),
        )
        before = orjson.dumps(raw)
        assert orjson.dumps(build(raw)) == orjson.dumps(build(orjson.loads(before)))
        assert orjson.dumps(raw) == before


def test_the_id_tells_streams_wikis_revisions_and_events_apart() -> None:
    raw = edit()
    others = [
        build(raw, stream="other"),
        build(edit(database="frwiki")),
        build(edit(rev_id=7)),
        build(edit(meta={**raw["meta"], "id": "another"})),
        build(edit(meta={name: value for name, value in raw["meta"].items() if name != "id"})),
    ]
    assert len({event["meta"]["id"] for event in [build(raw), *others]}) == 6
    same = [build(edit(page_title="Moved")), build(raw, score=Score("0.6.0", False, {}))]
    assert {event["meta"]["id"] for event in same} == {build(raw)["meta"]["id"]}


def test_the_clock_says_utc_to_the_microsecond() -> None:
    assert len(utc_now()) == len("2024-02-15T00:00:00.000000Z")
    schemas.validator("/error/2.1.0")(
        {
            "$schema": "/error/2.1.0",
            "dt": utc_now(),
            "emitter_id": "x",
            "message": "x",
            "meta": {"stream": "x"},
        }
    )


# The step


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"page_title": 7}, INVALID + "page_title must be string"),
        ({"page_id": 0}, INVALID + "page_id must be bigger than or equal to 1"),
        ({"page_is_redirect": "no"}, INVALID + "page_is_redirect must be boolean"),
        ({"rev_timestamp": "yesterday"}, INVALID + "dt must be date-time"),
        ({"meta": "text"}, "meta must be an object, got 'text'"),
        ({"meta": []}, "meta must be an object, got []"),
        ({"performer": "Simurghistan"}, "performer must be an object, got 'Simurghistan'"),
        (
            {"performer": {"user_text": "A", "user_groups": "bot"}},
            INVALID + "performer.user_groups must be array",
        ),
        ({"meta": {"request_id": 7}}, INVALID + "meta.request_id must be string"),
        ({"rev_timestamp": 1630070411}, INVALID + "dt must be string"),
        ({"rev_timestamp": "2021-08-27"}, INVALID + "dt must be date-time"),
        ({"dt": ABSENT, "meta": None, "rev_timestamp": None}, INVALID + "dt must be string"),
        (
            {"rev_timestamp": "0001-01-01T00:00:00+05:00"},
            "dt must be a time, got '0001-01-01T00:00:00+05:00'",
        ),
    ],
)
def test_an_event_that_makes_no_valid_score_is_a_failure(
    shipped: Configuration, changes: dict[str, Any], problem: str
) -> None:
    raw = edit(**changes)
    with TestPipeline(FnApiRunner()) as p:
        built = (
            p
            | beam.Create([ScoreResponse(request(raw=raw), SCORE)])
            | BuildRevisionScore(shipped.models, clock)
        )
        assert_that(built.scores, equal_to([]), label="scores")
        assert_that(
            built.failures,
            equal_to([Failure("BuildRevisionScore", problem, json_text(raw), "eqiad", "damaging")]),
            label="failures",
        )


@pytest.mark.parametrize(
    ("score", "problem"),
    [
        (Score("1", 7, {}), "scores.damaging.prediction must be array"),  # type: ignore[arg-type]
        (Score("1", ["a", None], {}), "scores.damaging.prediction[1] must be string"),  # type: ignore[list-item]
        (Score("1", True, {"true": "1"}), "scores.damaging.probability.true must be number"),  # type: ignore[dict-item]
        (Score(None, True, {}), "scores.damaging.model_version must be string"),  # type: ignore[arg-type]
    ],
)
def test_a_score_that_makes_no_valid_event_is_a_failure(
    shipped: Configuration, score: Score, problem: str
) -> None:
    with TestPipeline(FnApiRunner()) as p:
        built = p | beam.Create([ScoreResponse(request(), score)]) | BuildRevisionScore(shipped.models, clock)
        assert_that(built.failures | beam.Map(lambda failure: failure.reason), equal_to([INVALID + problem]))


def test_the_step_gives_each_score_to_the_stream_of_its_model(shipped: Configuration) -> None:
    responses = [ScoreResponse(request("damaging"), SCORE), ScoreResponse(request("goodfaith"), SCORE)]
    expected = [
        OutputEvent(stream, build(edit(), model, stream), "eqiad", request=request(model))
        for model, stream in [("damaging", STREAM), ("goodfaith", "mediawiki.revision-score-goodfaith")]
    ]
    with TestPipeline(FnApiRunner()) as p:
        built = p | beam.Create(responses) | BuildRevisionScore(shipped.models, clock)
        assert_that(built.scores, equal_to(expected), label="scores")
        assert_that(built.failures, equal_to([]), label="failures")


def clock() -> str:
    return NOW
