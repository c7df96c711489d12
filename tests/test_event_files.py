"""Events out of files of every form: what is in them, and what happens to those that cannot be read."""

from __future__ import annotations

import gzip
import random
from collections.abc import Mapping, Sequence
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
from conftest import ABSENT, edit

import schemas
from transforms.elements import Event, Failure, Raw
from transforms.event_files import Files, InputFile, find_files, read_file
from transforms.read_events import ReadEvents

CREATE = "/mediawiki/revision/create/2.0.0"
SCORE = "/mediawiki/revision/score/3.0.0"
HOUR = "datacenter=codfw/year=2024/month=2/day=5/hour=0"
EVENTS = [edit(rev_id=rev_id, comment=f"\u00e9 {rev_id}") for rev_id in range(1, 6)]
EVENTS[1] = edit(rev_id=2, comment="", rev_parent_id=ABSENT, performer={"user_text": "198.18.0.1", "user_groups": []})


def write(path: Path, events: Sequence[Mapping[str, Any]] = EVENTS) -> Path:
    """The events in the form that the name of the file says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [schemas.table_row(event) for event in events]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows, schemas.arrow_schema(CREATE)), path)
    elif path.suffix == ".avro":
        with path.open("wb") as file:
            fastavro.writer(file, schemas.avro_schema(CREATE), rows)
    else:
        lines = b"".join(orjson.dumps(event) + b"\n" for event in events)
        path.write_bytes(gzip.compress(lines, mtime=0) if path.suffix == ".gz" else lines)
    return path


def read(path: Path) -> list[Raw]:
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
        "performer": {"user_id": None, "user_groups": ["*"]},
        "rev_slots": [("main", {"rev_slot_size": 7, "rev_slot_origin_rev_id": None})],
    }
    assert schemas.event_of_row(row) == {"$schema": CREATE, "performer": {"user_groups": ["*"]}, "rev_slots": {"main": {"rev_slot_size": 7}}}


def test_a_map_in_parquet_is_an_object_again(tmp_path: Path) -> None:
    slots = {"main": {"rev_slot_content_model": "wikitext", "rev_slot_sha1": "x", "rev_slot_size": 7, "rev_slot_origin_rev_id": 1}}
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
    assert list(read_file(found)) == [Raw(orjson.dumps(EVENTS[0]), "codfw", HOUR)]


def test_files_in_one_heap_are_of_the_first_datacenter(tmp_path: Path) -> None:
    names = ["a.parquet", "b/a.jsonl.gz", "b/c.jsonl", "c.avro"]
    for name in names:
        write(tmp_path / name)
    assert find_files(str(tmp_path), "eqiad").files == [InputFile(str(tmp_path / name), "eqiad", None) for name in names]


def test_one_file_may_be_named(tmp_path: Path) -> None:
    file = write(tmp_path / "_tmp" / ".a.jsonl")
    assert find_files(str(file), "eqiad").files == [InputFile(str(file), "eqiad", None)]


def test_marks_of_hive_and_spark_are_no_data(tmp_path: Path) -> None:
    for name in ("_SUCCESS.json", ".a.jsonl.crc", ".hidden.jsonl", "_temporary/a.jsonl", ".git/a.jsonl", "readme.txt", "a.csv", "jsonl"):
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


@pytest.mark.parametrize(("name", "why"), [("a.parquet", "Parquet magic bytes not found in footer"), ("a.avro", ""), ("a.jsonl.gz", "Not a gzipped file")])
def test_a_file_that_is_something_else_is_told(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"This is no such file, however long one reads in it.\n" * 10)
    problem = problem_in(path)
    assert problem.startswith(f"{path}: cannot be read after 0 events: ")
    assert why in problem


def test_a_file_that_went_away_is_told(tmp_path: Path) -> None:
    assert problem_in(tmp_path / "a.jsonl") == f"{tmp_path}/a.jsonl: cannot be read after 0 events: [Errno 2] No such file or directory: '{tmp_path}/a.jsonl'"


def test_a_truncated_gzip_gives_what_came_before(tmp_path: Path) -> None:
    seeded = random.Random(1)
    events = [edit(rev_id=rev_id, comment=seeded.randbytes(50).hex()) for rev_id in range(2000)]
    path = write(tmp_path / "a.jsonl.gz", events)
    path.write_bytes(path.read_bytes()[:-5000])
    *before, last = read(path)
    assert 1000 < len(before) < 2000
    assert [orjson.loads(raw.data) for raw in before] == events[: len(before)]
    assert last.data == str(path).encode()
    assert last.problem == f"{path}: cannot be read after {len(before)} events: Compressed file ended before the end-of-stream marker was reached"


@pytest.mark.parametrize("name", ["a.parquet", "a.avro", "a.jsonl.gz"])
def test_damage_never_stops_the_others(tmp_path: Path, name: str) -> None:
    """Cut or overwritten anywhere, a file gives events and at most one problem, which comes last."""
    seeded = random.Random(2)
    whole = write(tmp_path / name, [edit(rev_id=rev_id) for rev_id in range(50)]).read_bytes()
    problems = 0
    for _ in range(300):
        damaged = bytearray(whole[: seeded.randrange(1, len(whole))] if seeded.random() < 0.3 else whole)
        for _ in range(seeded.randrange(4)):
            damaged[seeded.randrange(len(damaged))] = seeded.randrange(256)
        (tmp_path / name).write_bytes(damaged)
        found = [bool(raw.problem) for raw in read(tmp_path / name)]
        assert not any(found[:-1])
        problems += any(found)
    assert 100 < problems < 300


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
        ({"_schema": ABSENT}, ["no $schema; expected /mediawiki/revision/create/1.x or 2.x, or /mediawiki/page/change/1.x"] * 5),
        ({"database": ABSENT}, ["database: expected the name of a wiki, got nothing"] * 5),
        ({"rev_id": ABSENT}, ["rev_id: expected a whole number, got nothing"] * 5),
        ({"rev_id": pa.array(list("12345"))}, [f"rev_id: expected a whole number, got '{rev_id}'" for rev_id in range(1, 6)]),
        ({"rev_id": pa.array([1, 2, None, 4, 5])}, ["rev_id: expected a whole number, got nothing"]),
        ({"rev_id": pa.array([1.0, 2.5, 3, 4, 5])}, [f"rev_id: expected a whole number, got {rev_id}" for rev_id in (1.0, 2.5, 3.0, 4.0, 5.0)]),
        ({"database": pa.array([b"enwiki"] * 5)}, ["database: expected the name of a wiki, got b'enwiki'"] * 5),
    ],
)
def test_a_missing_or_mistyped_column_fails_the_rows_it_spoils(tmp_path: Path, columns: dict[str, Any], problems: list[str]) -> None:
    files = [InputFile(str(parquet(tmp_path / "wrong.parquet", **columns)), "eqiad", None), InputFile(str(write(tmp_path / "right.parquet")), "eqiad", None)]
    unspoilt = [raw for raw in EVENTS if len(problems) == 1 and raw["rev_id"] != 3]
    with TestPipeline(FnApiRunner()) as p:
        found = p | ReadEvents(Files(files))
        assert_that(found.events, equal_to([Event(raw, "eqiad") for raw in [*EVENTS, *unspoilt]]), label="events")
        assert_that(found.failures | beam.Map(fate), equal_to([("ReadEvents", problem, "eqiad") for problem in problems]), label="failures")


def fate(failure: Failure) -> tuple[str, str, str]:
    orjson.loads(failure.original)  # or it could not be tried again
    return failure.step, failure.reason, failure.datacenter
