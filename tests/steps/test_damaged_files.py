"""Files of events that cannot be read, or not all of them: what is read, and what is told."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import schemas
from tests.fuzz.files import ROWS, check, whole_files
from tests.support.event_tables import CREATE, problem_in, records_in, write
from tests.support.events import edit
from transforms.datasets.event_files import InputFile, find_files, read_file


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
    *before, last = records_in(path)
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
    data, problem = records_in(tmp_path / "a.jsonl.gz")
    assert (data.data, problem.final, problem.problem) == (
        b"{}",
        True,
        f"{tmp_path}/a.jsonl.gz: cannot be read after 1 events: after the end of what is compressed come "
        "other bytes: b'junk'",
    )
    assert [raw.data for raw in records_in(tmp_path / "b.jsonl.gz")] == [b"{}"]


def test_a_byte_order_mark_is_no_event(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    assert [raw.data for raw in records_in(tmp_path / "a.jsonl")] == [b'{"a": 1}']


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
    assert [raw.data["rev_id"] for raw in records_in(path) if not raw.problem] == [*range(10), *range(20, 30)]  # type: ignore[index,call-overload]
    (problem,) = [raw for raw in records_in(path) if raw.problem]
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
    found = [raw.data["rev_id"] for raw in records_in(path) if not raw.problem]  # type: ignore[index,call-overload]
    lost = range(blocks[0].num_records, blocks[0].num_records + blocks[1].num_records)
    assert found == [number for number in range(300) if number not in lost]
    assert [
        raw.problem.startswith(f"{path}: cannot be read after ") for raw in records_in(path) if raw.problem
    ] == [True]
