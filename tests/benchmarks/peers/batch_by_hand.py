"""What the batch peers share: their options, the events of a folder, and a Parquet file for each model."""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_HELD = 2_000
TRIES = 3

COLUMNS = pa.schema(
    {
        "_schema": pa.string(),
        "dt": pa.string(),
        "meta": pa.struct(
            {name: pa.string() for name in ("stream", "id", "dt", "request_id", "domain", "uri")}
        ),
        "database": pa.string(),
        "page_id": pa.int64(),
        "page_title": pa.string(),
        "page_namespace": pa.int64(),
        "page_is_redirect": pa.bool_(),
        "rev_id": pa.int64(),
        "rev_parent_id": pa.int64(),
        "rev_timestamp": pa.string(),
        "performer": pa.struct(
            {
                "user_text": pa.string(),
                "user_groups": pa.list_(pa.string()),
                "user_is_bot": pa.bool_(),
                "user_id": pa.int64(),
                "user_registration_dt": pa.string(),
                "user_edit_count": pa.int64(),
            }
        ),
        "scores": pa.map_(
            pa.string(),
            pa.struct(
                {
                    "model_name": pa.string(),
                    "model_version": pa.string(),
                    "prediction": pa.list_(pa.string()),
                    "probability": pa.map_(pa.string(), pa.float64()),
                }
            ),
        ),
    }
)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    for name in ("--rules", "--lift-wing"):
        parser.add_argument(name, required=True)
    for name in ("--input", "--output"):
        parser.add_argument(name, required=True)
    parser.add_argument("--in-flight", type=int, default=64)
    return parser


def events(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.rglob("*.jsonl.gz")):
        with gzip.open(file, "rb") as lines:
            yield from map(orjson.loads, lines)


class Files:
    """One Parquet file per model, 2,000 rows at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.held: dict[str, list[dict[str, Any]]] = {}
        self.writers: dict[str, pq.ParquetWriter] = {}

    def add(self, model: str, row: dict[str, Any]) -> None:
        held = self.held.setdefault(model, [])
        held.append(row)
        if len(held) >= ROWS_HELD:
            self.write(model)

    def write(self, model: str) -> None:
        if model not in self.writers:
            self.writers[model] = pq.ParquetWriter(self.folder / f"{model}.parquet", COLUMNS)
        self.writers[model].write_table(pa.Table.from_pylist(self.held.pop(model), COLUMNS))

    def close(self) -> None:
        for model in list(self.held):
            self.write(model)
        for writer in self.writers.values():
            writer.close()
