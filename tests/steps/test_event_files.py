"""Events out of files of every form: what is in them, and what their place tells."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import schemas
from tests.support.event_tables import CREATE, EVENTS, events_in, records_in, write
from tests.support.events import edit
from transforms.datasets.event_files import InputFile, find_files, read_file
from transforms.elements import SourceRecord

HOUR = "datacenter=codfw/year=2024/month=2/day=5/hour=0"


@pytest.mark.parametrize("name", ["a.parquet", "a.avro", "a.jsonl", "a.json", "a.jsonl.gz", "a.json.gz"])
def test_every_form_holds_the_same_events(tmp_path: Path, name: str) -> None:
    assert events_in(write(tmp_path / name)) == EVENTS


def test_lines_may_end_as_on_windows_and_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\n{"a": 1}\r\n \t\n\r\n{"b": 2}')
    assert [raw.data for raw in records_in(tmp_path / "a.jsonl")] == [b'{"a": 1}', b'{"b": 2}']


def test_gzip_may_have_several_members(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"1\n") + gzip.compress(b"2\n"))
    assert [raw.data for raw in records_in(tmp_path / "a.jsonl.gz")] == [b"1", b"2"]


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
    assert records_in(write(tmp_path / name, [])) == []


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
