"""Events out of files of every form: what is in them, and what happens to those that cannot be read."""

from __future__ import annotations

import gzip
import random
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
from tests.fuzz.files import ROWS, check, whole_files
from tests.support.event_tables import CREATE, EVENTS, write
from tests.support.events import ABSENT, edit
from transforms.datasets.event_files import Files, InputFile, find_files, read_file
from transforms.elements import Failure, SourceRecord
from transforms.events.source_events import event_of
from transforms.read_events import ReadEvents

SCORE = "/mediawiki/revision/score/3.0.0"
HOUR = "datacenter=codfw/year=2024/month=2/day=5/hour=0"
EVENTS[1] = edit(
    rev_id=2, comment="", rev_parent_id=ABSENT, performer={"user_text": "198.18.0.1", "user_groups": []}
)


def read(path: Path) -> list[SourceRecord]:
    return list(read_file(InputFile(str(path), "eqiad", None)))


def events_in(path: Path) -> list[Any]:
    return [orjson.loads(raw.data) if isinstance(raw.data, bytes) else raw.data for raw in read(path)]


def problem_in(path: Path) -> str:
    """Of a file with nothing but one."""
    (raw,) = read(path)
    assert raw.data == str(path).encode()
    return raw.problem


# What is read


@pytest.mark.parametrize("name", ["a.parquet", "a.avro", "a.jsonl", "a.json", "a.jsonl.gz", "a.json.gz"])
def test_every_form_holds_the_same_events(tmp_path: Path, name: str) -> None:
    assert events_in(write(tmp_path / name)) == EVENTS


def test_lines_may_end_as_on_windows_and_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\n{"a": 1}\r\n \t\n\r\n{"b": 2}')
    assert [raw.data for raw in read(tmp_path / "a.jsonl")] == [b'{"a": 1}', b'{"b": 2}']


def test_gzip_may_have_several_members(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"1\n") + gzip.compress(b"2\n"))
    assert [raw.data for raw in read(tmp_path / "a.jsonl.gz")] == [b"1", b"2"]


def test_what_refine_added_is_not_of_the_event(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([schemas.table_row(event) for event in EVENTS], schemas.arrow_schema(CREATE))
    added = {
        "is_wmf_domain": pa.array([True] * 5),
        "normalized_host": pa.array([{"project": "en", "tld": "org"}] * 5),
        "geocoded_data": pa.array([[("country", "Earth")]] * 5, pa.map_(pa.string(), pa.string())),
        "user_agent_map": pa.array([None] * 5, pa.map_(pa.string(), pa.string())),
        "datacenter": pa.array(["eqiad"] * 5),
        "year": pa.array([2024] * 5),
        "month": pa.array([2] * 5),
        "day": pa.array([5] * 5),
        "hour": pa.array([0] * 5),
    }
    for name, column in added.items():
        table = table.append_column(name, column)
    pq.write_table(table, tmp_path / "a.parquet")
    assert events_in(tmp_path / "a.parquet") == EVENTS


def test_nulls_are_absent_and_maps_are_objects_again() -> None:
    row = {
        "_schema": CREATE,
        "comment": None,
        "performer": {"user_id": None, "user_groups": ["*", None]},
        "rev_slots": {"main": {"rev_slot_size": 7, "rev_slot_origin_rev_id": None}},
        "meta": {"id": None},
    }
    (event,) = schemas.events_of_batch(pa.RecordBatch.from_pylist([row], schemas.arrow_schema(CREATE)))
    assert event == schemas.event_of_record(row)
    assert event == {
        "$schema": CREATE,
        "performer": {"user_groups": ["*"]},
        "rev_slots": {"main": {"rev_slot_size": 7}},
    }


def test_a_map_in_parquet_is_an_object_again(tmp_path: Path) -> None:
    slots = {
        "main": {
            "rev_slot_content_model": "wikitext",
            "rev_slot_sha1": "x",
            "rev_slot_size": 7,
            "rev_slot_origin_rev_id": 1,
        }
    }
    events = [edit(rev_slots=slots), edit(rev_slots={**slots, "media": slots["main"]})]
    for name in ("a.parquet", "a.avro"):
        assert events_in(write(tmp_path / name, events)) == events


@pytest.mark.parametrize("name", ["a.parquet", "a.avro"])
def test_a_table_without_rows_is_no_problem(tmp_path: Path, name: str) -> None:
    assert read(write(tmp_path / name, [])) == []


# Where it lies


def test_only_the_columns_that_are_needed_are_read(tmp_path: Path) -> None:
    file = InputFile(str(write(tmp_path / "a.parquet")), "eqiad", None)
    (first, *_), fields = read_file(file, frozenset({"$schema", "rev_id", "page_id", "never"})), EVENTS[0]
    assert first.data == {name: fields[name] for name in ("$schema", "page_id", "rev_id")}


@pytest.mark.parametrize("hour", ["month=02/day=05/hour=00", "month=2/day=5/hour=0"])
def test_the_place_of_a_file_tells_datacenter_and_partition(tmp_path: Path, hour: str) -> None:
    file = write(tmp_path / "event" / "datacenter=codfw" / "year=2024" / hour / "a.jsonl", EVENTS[:1])
    (found,) = find_files(str(tmp_path), "eqiad").files
    assert found == InputFile(str(file), "codfw", HOUR)
    assert list(read_file(found)) == [SourceRecord(orjson.dumps(EVENTS[0]), "codfw", HOUR, origin=str(file))]


def test_files_in_one_heap_are_of_the_first_datacenter(tmp_path: Path) -> None:
    names = ["a.parquet", "b/a.jsonl.gz", "b/c.jsonl", "c.avro"]
    for name in names:
        write(tmp_path / name)
    assert find_files(str(tmp_path), "eqiad").files == [
        InputFile(str(tmp_path / name), "eqiad", None) for name in names
    ]


def test_one_file_may_be_named(tmp_path: Path) -> None:
    file = write(tmp_path / "_tmp" / ".a.jsonl")
    assert find_files(str(file), "eqiad").files == [InputFile(str(file), "eqiad", None)]


def test_marks_of_hive_and_spark_are_no_data(tmp_path: Path) -> None:
    for name in ("_SUCCESS.json", ".a.jsonl.crc", ".hidden.jsonl", "_temporary/a.jsonl", ".git/a.jsonl"):
        write(tmp_path / name)
    file = write(tmp_path / "a.jsonl")
    assert find_files(str(tmp_path), "eqiad").files == [InputFile(str(file), "eqiad", None)]


def test_a_place_without_events_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        find_files(str(tmp_path), "eqiad")
    assert str(error.value) == f"no event files in {tmp_path}: expected Parquet, Avro or JSON lines"
    with pytest.raises(FileNotFoundError) as error:
        find_files(str(tmp_path / "none"), "eqiad")
    assert str(error.value) == f"no such file or directory: {tmp_path / 'none'}"


# What cannot be read


@pytest.mark.parametrize("name", ["a.parquet", "a.avro", "a.jsonl", "a.jsonl.gz"])
def test_an_empty_file_is_told(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    assert problem_in(path) == f"{path}: cannot be read after 0 events: the file is empty"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.parquet", "Parquet magic bytes not found in footer"),
        ("a.avro", ""),
        ("a.jsonl.gz", "not Parquet, Avro or JSON lines; begins with b'This is no s'"),
    ],
)
def test_a_file_that_is_something_else_is_told(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"This is no such file, however long one reads in it.\n\0" * 10)
    problem = problem_in(path)
    assert problem.startswith(f"{path}: cannot be read after 0 events: ")
    assert why in problem


def test_a_file_that_went_away_is_told(tmp_path: Path) -> None:
    assert (
        problem_in(tmp_path / "a.jsonl")
        == f"{tmp_path}/a.jsonl: cannot be read after 0 events: [Errno 2] No such file or directory: "
        f"'{tmp_path}/a.jsonl'"
    )


def test_a_truncated_gzip_gives_what_came_before(tmp_path: Path) -> None:
    seeded = random.Random(1)
    events = [edit(rev_id=rev_id, comment=seeded.randbytes(50).hex()) for rev_id in range(2000)]
    path = write(tmp_path / "a.jsonl.gz", events)
    path.write_bytes(path.read_bytes()[:-5000])
    *before, last = read(path)
    assert 1000 < len(before) < 2000
    assert [orjson.loads(raw.data) for raw in before] == events[: len(before)]
    assert last.data == str(path).encode()
    assert (
        last.problem
        == f"{path}: cannot be read after {len(before)} events: Compressed file ended before the "
        "end-of-stream marker was reached"
    )


def test_damaged_files_are_read_or_named(tmp_path: Path) -> None:
    """More of them: python tests/fuzz/files.py --count 2000."""
    ledger = check(100, seed=5, folder=tmp_path)
    assert ledger.faults == []
    assert ledger.counts["named"] > 40


@pytest.mark.parametrize("name", whole_files())
def test_content_tells_format_and_codec(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"000000_0{'.' + name.split('.', 1)[1] if 'adoop' in name or 'snappy' in name else ''}"
    path.write_bytes(whole_files()[name])
    (file,) = find_files(str(tmp_path), "eqiad").files
    found = [orjson.loads(raw.data) if isinstance(raw.data, bytes) else raw.data for raw in read_file(file)]
    assert [event["rev_id"] for event in found] == list(range(ROWS))


def test_what_comes_after_the_end_of_a_stream_is_told_once(tmp_path: Path) -> None:
    for name, content in {
        "a.jsonl.gz": gzip.compress(b"{}\n") + b"junk",
        "b.jsonl.gz": gzip.compress(b"{}\n") + b"\0" * 512,
    }.items():
        (tmp_path / name).write_bytes(content)
    data, problem = read(tmp_path / "a.jsonl.gz")
    assert (data.data, problem.final, problem.problem) == (
        b"{}",
        True,
        f"{tmp_path}/a.jsonl.gz: cannot be read after 1 events: after the end of what is compressed come "
        "other bytes: b'junk'",
    )
    assert [raw.data for raw in read(tmp_path / "b.jsonl.gz")] == [b"{}"]


def test_a_byte_order_mark_is_no_event(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    assert [raw.data for raw in read(tmp_path / "a.jsonl")] == [b'{"a": 1}']


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'[{"a": 1}]', "a JSON array; expected an event a line (jq -c '.[]')"),
        (b'{\n "a": 1\n}\n', "an event on several lines; expected an event a line (jq -c .)"),
        ('{"a": 1}'.encode("utf-16"), "text in UTF-16; expected UTF-8"),
        (
            b"\x89PNG\r\n\x1a\n\0\0",
            "not Parquet, Avro or JSON lines; begins with b'\\x89PNG\\r\\n\\x1a\\n\\x00\\x00'",
        ),
    ],
)
def test_json_that_is_not_in_lines_is_told(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert problem_in(tmp_path / "a.json") == f"{tmp_path}/a.json: cannot be read after 0 events: {why}"


def test_a_file_without_any_column_of_an_event_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "a.parquet")
    (raw,) = read_file(InputFile(str(tmp_path / "a.parquet"), "eqiad", None), frozenset({"rev_id"}))
    assert (
        raw.problem
        == f"{tmp_path}/a.parquet: cannot be read after 0 events: it has no column of an event, but x"
    )


def test_a_damaged_row_group_costs_itself_alone(tmp_path: Path) -> None:
    events = [edit(rev_id=number, comment="") for number in range(30)]
    table = pa.Table.from_pylist([schemas.table_row(event) for event in events], schemas.arrow_schema(CREATE))
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=10, compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    start, size = column.data_page_offset, column.total_compressed_size
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    assert [raw.data["rev_id"] for raw in read(path) if not raw.problem] == [*range(10), *range(20, 30)]  # type: ignore[index,call-overload]
    (problem,) = [raw for raw in read(path) if raw.problem]
    assert problem.problem.startswith(f"{path}: cannot be read after 10 events: row group 2 of 3: ")
    assert not problem.final


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_a_damaged_block_of_avro_costs_itself_alone(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.avro"
    with path.open("wb") as file:
        rows = [schemas.table_row(edit(rev_id=number)) for number in range(300)]
        fastavro.writer(file, schemas.avro_schema(CREATE), rows, codec=codec, sync_interval=10_000)
    blocks = list(fastavro.block_reader(path.open("rb")))
    content = bytearray(path.read_bytes())
    content[blocks[1].offset + 6 : blocks[1].offset + blocks[1].size - 16] = b"\xff" * (blocks[1].size - 22)
    path.write_bytes(content)
    found = [raw.data["rev_id"] for raw in read(path) if not raw.problem]  # type: ignore[index,call-overload]
    lost = range(blocks[0].num_records, blocks[0].num_records + blocks[1].num_records)
    assert found == [number for number in range(300) if number not in lost]
    assert [
        raw.problem.startswith(f"{path}: cannot be read after ") for raw in read(path) if raw.problem
    ] == [True]


# Types of tables


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
    (raw,) = read(tmp_path / "a.parquet")
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
    assert [raw.data["dt"] for raw in read(tmp_path / "a.parquet")] == [
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
    (raw,) = read(tmp_path / "a.parquet")
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
    (raw,) = read(tmp_path / "a.avro")
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
    first, bad, last = read(tmp_path / "a.parquet")
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
