"""Values of tables as values of events: what each type becomes, and what cannot become one."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

import schemas
from tests.support.event_tables import CREATE, EVENTS, problem_in, records_in, write
from tests.support.events import ABSENT
from transforms.datasets.event_files import Files, InputFile
from transforms.elements import Failure
from transforms.events.source_events import event_of
from transforms.read_events import ReadEvents

NOON = datetime(2024, 2, 5, 12)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(
            (pa.array([NOON], kind), "2024-02-05T12:00:00Z")
            for kind in (
                pa.timestamp("ms"),
                pa.timestamp("us"),
                pa.timestamp("ns"),
                pa.timestamp("us", "UTC"),
            )
        ),
        (pa.array([NOON], pa.timestamp("us", "Europe/Berlin")), "2024-02-05T12:00:00Z"),
        (pa.array([NOON.replace(microsecond=120_000)]), "2024-02-05T12:00:00.12Z"),
        (pa.array([NOON.date()]), "2024-02-05T00:00:00Z"),
        (pa.array(["2024-02-05 12:00:00"]), "2024-02-05T12:00:00Z"),
        (pa.array(["2024-02-05 12:00:00.5 UTC"]), "2024-02-05T12:00:00.5Z"),
        (pa.array(["2024-02-05T12:00:00+01:00"]), "2024-02-05T12:00:00+01:00"),
        (pa.array([253402300800000000], pa.timestamp("us")), "10000-01-01T00:00:00Z"),
        (pa.array([2**62], pa.timestamp("us")), "17036-07-06T14:00:27.387904Z"),
        (pa.array([b"2024-02-05T12:00:00Z"]), "2024-02-05T12:00:00Z"),
        (pa.array(["2024-02-05T12:00:00Z"]).dictionary_encode(), "2024-02-05T12:00:00Z"),
        (pa.array(["yesterday"]), "yesterday"),
        (pa.nulls(1), None),
    ],
)
def test_a_time_is_a_time(tmp_path: Path, column: pa.Array, value: str | None) -> None:
    pq.write_table(pa.table({"dt": column, "rev_id": [1]}), tmp_path / "a.parquet")
    (raw,) = records_in(tmp_path / "a.parquet")
    assert isinstance(raw.data, dict)
    assert raw.data.get("dt") == value


def test_an_int96_is_a_time_of_any_year(tmp_path: Path) -> None:
    table = pa.table(
        {
            "dt": pa.array(
                [datetime(1066, 10, 14), datetime(2024, 2, 5), datetime(3000, 1, 1)], pa.timestamp("us")
            )
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    assert [raw.data["dt"] for raw in records_in(tmp_path / "a.parquet")] == [
        "1066-10-14T00:00:00Z",
        "2024-02-05T00:00:00Z",
        "3000-01-01T00:00:00Z",
    ]  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("page_id", pa.array([Decimal("12.00")]), 12),
        ("page_id", pa.array([Decimal("12")], pa.decimal256(50, 0)), 12),
        ("page_id", pa.array([12.0]), 12),
        ("rev_parent_id", pa.array([float("nan")]), None),
        ("ratio", pa.array([12.0]), 12.0),
        ("rev_len", pa.array([2.5]), 2.5),
        ("performer", pa.array([{"user_text": None, "user_groups": None}]), None),
        ("user_groups", pa.array([["*", None]]), ["*"]),
        (
            "probability",
            pa.array([[("true", 1.0), ("false", None)]], pa.map_(pa.string(), pa.float64())),
            {"true": 1.0},
        ),
        ("probability", pa.array([[]], pa.map_(pa.string(), pa.float64())), {}),
        ("slots", pa.array([[(b"main", [1])]], pa.map_(pa.binary(), pa.list_(pa.int64()))), {"main": [1]}),
        ("slots", pa.array([[(7, 1)]], pa.map_(pa.int64(), pa.int64())), {"7": 1}),
        ("checksum", pa.array([b"\xff" * 16], pa.binary(16)), None),
    ],
)
def test_a_value_of_a_table_is_one_of_json(
    tmp_path: Path, name: str, column: pa.Array, value: object
) -> None:
    pq.write_table(pa.table({name: column, "rev_id": [1]}), tmp_path / "a.parquet")
    (raw,) = records_in(tmp_path / "a.parquet")
    assert isinstance(raw.data, dict)
    assert (raw.data.get(name), raw.problem) == (value, "")
    assert type(raw.data.get(name)) is type(value)


def test_types_of_avro_are_those_of_json(tmp_path: Path) -> None:
    kinds = {
        "dt": (
            {"type": "long", "logicalType": "timestamp-millis"},
            1_707_134_400_123,
            "2024-02-05T12:00:00.123Z",
        ),
        "rev_timestamp": (
            {"type": "long", "logicalType": "timestamp-micros"},
            253402300800000000,
            "253402300800000000",
        ),
        "page_id": (
            {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
            Decimal("12.00"),
            12,
        ),
        "rev_parent_id": ("double", float("nan"), None),
        "day_of": ({"type": "int", "logicalType": "date"}, 19758, "2024-02-05T00:00:00Z"),
        "checksum": ({"type": "fixed", "name": "md5", "size": 2}, b"\xff\xff", None),
        "slots": ({"type": "map", "values": "int"}, {}, {}),
    }
    schema = {
        "type": "record",
        "name": "event",
        "fields": [{"name": name, "type": kind} for name, (kind, _, _) in kinds.items()],
    }
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, schema, [{name: value for name, (_, value, _) in kinds.items()}])
    (raw,) = records_in(tmp_path / "a.avro")
    assert raw.data == {name: value for name, (_, _, value) in kinds.items() if value is not None}


def test_items_of_avro_that_are_no_records_are_told(tmp_path: Path) -> None:
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, {"type": "map", "values": "int"}, [{"a": 1}])
    assert problem_in(tmp_path / "a.avro").startswith(
        f"{tmp_path}/a.avro: cannot be read after 0 events: expected records, got items of "
    )


def test_one_bad_value_is_one_failure(tmp_path: Path) -> None:
    titles = pa.array([b"a", b"caf\xe9", b"c"]).view(pa.string())
    pq.write_table(pa.table({"page_title": titles, "rev_id": [1, 2, 3]}), tmp_path / "a.parquet")
    first, bad, last = records_in(tmp_path / "a.parquet")
    assert [first.data, last.data] == [{"page_title": "a", "rev_id": 1}, {"page_title": "c", "rev_id": 3}]
    assert (bad.data, bad.final) == ({"rev_id": 2}, True)
    assert bad.problem.startswith(
        f"{tmp_path}/a.parquet: event 2: page_title: UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe9"
    )


def parquet(path: Path, **columns: Any) -> Path:
    table = pa.Table.from_pylist([schemas.table_row(event) for event in EVENTS], schemas.arrow_schema(CREATE))
    for name, column in columns.items():
        table = table.drop_columns([name])
        if column is not ABSENT:
            table = table.append_column(name, column)
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("columns", "problems"),
    [
        ({"database": ABSENT}, ["database: expected the name of a wiki, got nothing"] * 5),
        ({"rev_id": ABSENT}, ["rev_id: expected a whole number, got nothing"] * 5),
        (
            {"rev_id": pa.array(list("12345"))},
            [f"rev_id: expected a whole number, got '{rev_id}'" for rev_id in range(1, 6)],
        ),
        ({"rev_id": pa.array([1, 2, None, 4, 5])}, ["rev_id: expected a whole number, got nothing"]),
        ({"rev_id": pa.array([1.0, 2.5, 3, 4, 5])}, ["rev_id: expected a whole number, got 2.5"]),
        (
            {"database": pa.array([b"enwiki"] * 2 + [b"\xff"] + [b"enwiki"] * 2)},
            ["database: ArrowInvalid: Invalid UTF8 payload"],
        ),
    ],
)
def test_a_missing_or_mistyped_column_fails_the_rows_it_spoils(
    tmp_path: Path, columns: dict[str, Any], problems: list[str]
) -> None:
    files = [
        InputFile(str(parquet(tmp_path / "wrong.parquet", **columns)), "eqiad", None),
        InputFile(str(write(tmp_path / "right.parquet")), "eqiad", None),
    ]
    spoilt = columns["rev_id" if "rev_id" in columns else "database"] if len(problems) == 1 else []
    unspoilt = [
        raw
        for raw, value in zip(EVENTS, spoilt.to_pylist() if len(problems) == 1 else [], strict=False)
        if value not in (None, 2.5, b"\xff")
    ]
    with TestPipeline(FnApiRunner()) as p:
        found = p | ReadEvents(Files(files))
        assert_that(
            found.events, equal_to([event_of(raw, "eqiad") for raw in [*EVENTS, *unspoilt]]), label="events"
        )
        assert_that(
            found.failures | beam.Map(fate),
            equal_to([("ReadEvents", problem, "eqiad") for problem in problems]),
            label="failures",
        )


def fate(failure: Failure) -> tuple[str, str, str]:
    orjson.loads(failure.original)  # or it could not be tried again
    return failure.step, re.sub(r"^/.*wrong.parquet: event \d: ", "", failure.reason), failure.datacenter
