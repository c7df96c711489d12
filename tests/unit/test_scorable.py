"""Whether an event can become a score, which is told before anybody is asked for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

import schemas
from tests.support.events import ABSENT, edit
from transforms.datasets.event_files import Files, InputFile
from transforms.elements import Failure, Score
from transforms.events.score_events import ScoreStream, revision_score, utc_now
from transforms.models.model import Configuration
from transforms.models.scorable import fields_to_read, why_no_score
from transforms.read_events import ReadEvents
from transforms.select_models import SelectModels


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"page_id": None}, None),
        ({"page_id": 5.0}, None),
        ({"page_id": "5"}, "page_id must be integer or null"),
        ({"performer": {"user_text": None, "user_groups": ["*"]}}, None),
        (
            {"performer": {"user_text": "a", "user_groups": ["*", None]}},
            "performer.user_groups[0] must be string",
        ),
        ({"performer": 5}, "performer must be object or null"),
        ({"meta": []}, "meta must be object or null"),
        ({"rev_timestamp": ABSENT, "dt": "yesterday"}, "dt must be date-time"),
        ({"rev_timestamp": ABSENT, "dt": "2023-02-30T23:30:00Z"}, "dt must be"),
        ({"rev_timestamp": "10000-01-01T00:00:00Z"}, "rev_timestamp must be date-time"),
        ({"rev_timestamp": ABSENT, "dt": ABSENT, "meta": None}, "dt must be string"),
    ],
)
def test_what_is_refused_is_what_the_finished_event_would_be_refused_for(
    changes: dict[str, Any], why: str | None
) -> None:
    raw = edit(**changes)
    found = why_no_score(raw, schemas.REVISION_SCORE)
    assert found is None if why is None else found is not None and found.startswith("cannot become a score: ")
    if why and "user_groups" not in why:
        assert str(found).startswith(f"cannot become a score: {why}")
    if why is None:
        schemas.validator(schemas.REVISION_SCORE)(
            revision_score(raw, ScoreStream("damaging", "stream"), Score("1", True, {}), utc_now())
        )


@pytest.mark.parametrize("column", ["page_id", "dt", "performer"])
def test_a_column_of_a_wrong_type_costs_no_call(tmp_path: Path, shipped: Configuration, column: str) -> None:
    rows = [schemas.table_row(edit(rev_id=number)) for number in (1, 2)]
    table = pa.Table.from_pylist(rows, schemas.arrow_schema("/mediawiki/revision/create/2.0.0"))
    table = table.drop_columns([column, *(["rev_timestamp"] if column == "dt" else [])])
    wrong = pa.array([[["wrong"]]] * 2)
    path = tmp_path / "a.parquet"
    pq.write_table(table.append_column(column, wrong), path)
    with TestPipeline(FnApiRunner()) as p:
        read = p | ReadEvents(Files([InputFile(str(path), "eqiad", None)]))
        selected = read.events | SelectModels({"damaging": shipped.models["damaging"]})
        assert_that(selected.requests, equal_to([]), label="requests")
        assert_that(
            selected.failures | "Model" >> beam.Map(_named),
            equal_to([("SelectModels", "damaging")] * 2),
            label="failures",
        )


def _named(failure: Failure) -> tuple[str, str | None]:
    return failure.step, failure.model


def test_a_table_of_another_kind_of_event_is_one_that_no_model_wants(
    tmp_path: Path, shipped: Configuration
) -> None:
    """Though of a file only those columns are read that the models need."""
    change = {
        "$schema": "/mediawiki/page/change/1.2.0",
        "meta": {"stream": "mediawiki.page_change.v1", "id": "a"},
        "wiki_id": "enwiki",
        "revision": {"rev_id": 7},
    }
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.Table.from_pylist(
            [schemas.table_row(change)], schemas.arrow_schema("/mediawiki/page/change/1.2.0")
        ),
        path,
    )
    with TestPipeline(FnApiRunner()) as p:
        read = p | ReadEvents(
            Files([InputFile(str(path), "eqiad", None)], fields_to_read(shipped.models.values()))
        )
        selected = read.events | SelectModels(shipped.models)
        assert_that(read.failures, equal_to([]), label="no failures")
        assert_that(selected.requests, equal_to([]), label="no requests")
        assert_that(
            read.events | "Wiki" >> beam.Map(lambda event: event.raw["wiki_id"]),
            equal_to(["enwiki"]),
            label="read",
        )
