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
from tests.support.events import edit

CREATE = "/mediawiki/revision/create/2.0.0"
EVENTS = [edit(rev_id=rev_id, comment=f"\u00e9 {rev_id}") for rev_id in range(1, 6)]


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
