"""Files of events, as tables have them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

import schemas
from tests.support.events import ABSENT, edit
from transforms.datasets.event_files import InputFile, read_file
from transforms.elements import SourceRecord

CREATE = "/mediawiki/revision/create/2.0.0"
EVENTS = [edit(rev_id=rev_id, comment=f"\u00e9 {rev_id}") for rev_id in range(1, 6)]
EVENTS[1] = edit(
    rev_id=2, comment="", rev_parent_id=ABSENT, performer={"user_text": "198.18.0.1", "user_groups": []}
)


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


def records_in(path: Path) -> list[SourceRecord]:
    return list(read_file(InputFile(str(path), "eqiad", None)))


def events_in(path: Path) -> list[Any]:
    return [orjson.loads(raw.data) if isinstance(raw.data, bytes) else raw.data for raw in records_in(path)]


def problem_in(path: Path) -> str:
    """Of a file with nothing but one."""
    (raw,) = records_in(path)
    assert raw.data == str(path).encode()
    return raw.problem
