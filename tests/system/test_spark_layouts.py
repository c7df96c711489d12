"""Tables as a real Spark writes them, in `tests/data/spark`: each holds the same real events. See
`tests/benchmarks/peers/spark_layouts.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.events import ROOT
from transforms.datasets.event_files import find_files, read_file
from transforms.elements import SourceRecord
from transforms.events.parsing import event_in

DATA = ROOT / "tests" / "data"
SPARK = DATA / "spark"
EVENTS = [orjson.loads(line)["event"] for line in (DATA / "real_pairs.jsonl").read_bytes().splitlines()[:6]]
WHOLE = sorted(
    folder.name for folder in SPARK.iterdir() if folder.name not in ("csv", "orc", "hive-default-partition")
)


def events_of(folder: Path) -> list[Any]:
    files = find_files(str(folder), "eqiad")
    assert files.left_out == []
    return [event_in(raw) for file in files.files for raw in read_file(file)]


def by_revision(events: list[Any]) -> list[Any]:
    return sorted(events, key=lambda event: event["rev_id"])


def test_there_are_all_layouts() -> None:
    assert len(WHOLE) == 24


@pytest.mark.parametrize("layout", WHOLE)
def test_a_table_of_spark_holds_the_events_that_were_written(layout: str) -> None:
    assert by_revision(events_of(SPARK / layout)) == by_revision(EVENTS)


def test_nulls_of_a_table_that_was_written_as_json_are_no_values() -> None:
    """As DuckDB writes them, which leaves none out."""
    (event,) = [each for each in EVENTS if "rev_parent_id" not in each][:1]
    row = {
        "_schema": event["$schema"],
        **{name: value for name, value in event.items() if name != "$schema"},
        "rev_parent_id": None,
        "hour": 12,
    }
    row["performer"] = {**event["performer"], "user_registration_dt": None}
    expected = {
        **event,
        "performer": {
            name: value for name, value in event["performer"].items() if name != "user_registration_dt"
        },
    }
    assert event_in(SourceRecord(orjson.dumps(row), "eqiad")) == expected


def test_a_partition_without_an_hour_is_named_and_the_others_are_read() -> None:
    files = find_files(str(SPARK / "hive-default-partition"), "eqiad")
    assert by_revision([event_in(raw) for file in files.files for raw in read_file(file)]) == by_revision(
        [e for e in EVENTS if e["rev_id"] % 2 == 0]
    )
    assert [(Path(left.path).parent.name, left.reason, left.may_hold_events) for left in files.left_out] == [
        ("hour=__HIVE_DEFAULT_PARTITION__", "hour=__HIVE_DEFAULT_PARTITION__ is no part of a time", True)
    ]


@pytest.mark.parametrize(("layout", "begins"), [("csv", "b'database,rev'"), ("orc", "b'ORC")])
def test_a_format_that_is_not_read_is_named(layout: str, begins: str) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        find_files(str(SPARK / layout), "eqiad")
    (file,) = SPARK.glob(f"{layout}/part-*")
    assert f"\n{file}: not Parquet, Avro or JSON lines; begins with {begins}" in str(raised.value)
