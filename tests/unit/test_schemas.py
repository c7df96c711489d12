"""Wikimedia's schemas as validators of events and as types of tables."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest

import schemas

ROOT = Path(schemas.__file__).parent / "jsonschema"
SHIPPED = sorted(f"/{file.relative_to(ROOT).with_suffix('')}" for file in ROOT.rglob("*.yaml"))
SCORE = "/mediawiki/revision/score/3.0.0"
ERROR = "/error/2.1.0"


def example(**changes: Any) -> dict[str, Any]:
    return {**schemas.load(SCORE)["examples"][0], **changes}


def test_the_schemas_that_cross_the_border_are_here() -> None:
    assert SHIPPED == [
        "/error/2.1.0",
        "/mediawiki/page/change/1.2.0",
        "/mediawiki/page/prediction_classification_change/1.1.0",
        "/mediawiki/page/prediction_classification_change/1.3.0",
        "/mediawiki/revision/create/1.0.0",
        "/mediawiki/revision/create/1.1.0",
        "/mediawiki/revision/create/1.2.0",
        "/mediawiki/revision/create/2.0.0",
        "/mediawiki/revision/score/2.0.0",
        "/mediawiki/revision/score/3.0.0",
    ]


@pytest.mark.parametrize("uri", SHIPPED)
def test_a_schema_names_itself_and_allows_its_examples(uri: str) -> None:
    assert schemas.load(uri)["$id"] == uri
    assert schemas.load(uri)["examples"]
    for event in schemas.load(uri)["examples"]:
        schemas.validator(uri)(event)


@pytest.mark.parametrize("uri", SHIPPED)
def test_a_schema_asks_for_its_required_fields(uri: str) -> None:
    event = schemas.load(uri)["examples"][0]
    for name in schemas.load(uri)["required"]:
        with pytest.raises(schemas.InvalidEventError, match=r"^not valid against .*: data must contain \["):
            schemas.validator(uri)({key: value for key, value in event.items() if key != name})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rev_id": "7"}, "rev_id must be integer"),
        ({"rev_id": True}, "rev_id must be integer"),
        ({"rev_id": 2**53}, "rev_id must be smaller than or equal to 9007199254740991"),
        ({"page_id": 0}, "page_id must be bigger than or equal to 1"),
        ({"page_title": ""}, "page_title must be longer than or equal to 1 characters"),
        ({"dt": "yesterday"}, "dt must be date-time"),
        ({"dt": None}, "dt must be string"),
        ({"meta": {}}, "meta must contain ['stream'] properties"),
        ({"rev_len": 1}, "data must not contain {'rev_len'} properties"),
        ({"performer": {"user_groups": ["*", 1]}}, "performer.user_groups[1] must be string"),
        (
            {
                "scores": {
                    "m": {"model_name": "m", "model_version": "1", "prediction": True, "probability": {}}
                }
            },
            "scores.m.prediction must be array",
        ),
        (
            {
                "scores": {
                    "m": {
                        "model_name": "m",
                        "model_version": "1",
                        "prediction": [],
                        "probability": {"a": "1"},
                    }
                }
            },
            "scores.m.probability.a must be number",
        ),
    ],
)
def test_an_invalid_event_is_told_its_field_and_the_rule(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(schemas.InvalidEventError) as error:
        schemas.validator(SCORE)(example(**changes))
    assert str(error.value) == f"not valid against {SCORE}: {problem}"


@pytest.mark.parametrize("uri", ["/mediawiki/revision/score/1.0.0", "/../event_schemas", ""])
def test_there_is_no_other_schema(uri: str) -> None:
    with pytest.raises(KeyError, match="no schema"):
        schemas.load(uri)


@pytest.mark.parametrize(
    ("stream", "table"),
    [
        ("mediawiki.revision-score-damaging", "mediawiki_revision_score_damaging"),
        ("mediawiki.revision_score_damaging", "mediawiki_revision_score_damaging"),
        ("Eqiad.Mixed-Case", "eqiad_mixed_case"),
    ],
)
def test_table_names(stream: str, table: str) -> None:
    assert schemas.table_name(stream) == table


def test_column_names_and_rows() -> None:
    assert schemas.column_name("$schema") == "_schema"
    assert schemas.column_name("user_Groups") == "user_Groups"
    assert schemas.table_row({"$schema": SCORE, "rev_id": 7, "meta": {"stream": "s"}}) == {
        "_schema": SCORE,
        "rev_id": 7,
        "meta": {"stream": "s"},
    }


def test_the_columns_of_a_score() -> None:
    text, number = pa.string(), pa.int64()
    of_error = pa.struct([(name, text) for name in ("type", "message", "model_name", "model_version")])
    score = pa.struct(
        [
            ("model_name", text),
            ("model_version", text),
            ("prediction", pa.list_(text)),
            ("probability", pa.map_(text, pa.float64())),
        ]
    )
    performer = [
        ("user_edit_count", number),
        ("user_groups", pa.list_(text)),
        ("user_id", number),
        ("user_is_bot", pa.bool_()),
        ("user_registration_dt", text),
        ("user_text", text),
    ]
    assert schemas.arrow_schema(SCORE) == pa.schema(
        [
            ("_schema", text),
            ("database", text),
            ("dt", text),
            ("errors", pa.map_(text, of_error)),
            (
                "meta",
                pa.struct([(name, text) for name in ("domain", "dt", "id", "request_id", "stream", "uri")]),
            ),
            ("page_id", number),
            ("page_is_redirect", pa.bool_()),
            ("page_namespace", number),
            ("page_title", text),
            ("performer", pa.struct(performer)),
            ("rev_id", number),
            ("rev_parent_id", number),
            ("rev_timestamp", text),
            ("scores", pa.map_(text, score)),
        ]
    )


@pytest.mark.parametrize("uri", [SCORE, ERROR])
def test_an_event_comes_back_from_avro_as_it_was(uri: str) -> None:
    row = schemas.table_row(schemas.load(uri)["examples"][0])
    file = io.BytesIO()
    fastavro.writer(file, schemas.avro_schema(uri), [row])
    file.seek(0)
    (read,) = fastavro.reader(file)
    assert set(read) == set(schemas.arrow_schema(uri).names)
    assert without_nulls(read) == row


def test_an_event_comes_back_from_arrow_as_it_was() -> None:
    row = schemas.table_row(example())
    (read,) = pa.Table.from_pylist([row], schemas.arrow_schema(SCORE)).to_pylist()
    scores = {name: {**score, "probability": dict(score["probability"])} for name, score in read["scores"]}
    assert without_nulls({**read, "scores": scores}) == row


def without_nulls(value: Any) -> Any:
    return (
        {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
        if isinstance(value, dict)
        else value
    )
