"""The peer of `regenerate`: what a good engineer writes in an afternoon with asyncio, aiohttp, orjson and pyarrow.

    python -m tests.benchmarks.script EVENTS.jsonl.gz OUTPUT LIFT_WING MODELS.yaml CALLS_AT_ONCE

The same selection, calls and Parquet columns as `regenerate`; no validation, no retries, no failure stream, nothing to resume.
"""

from __future__ import annotations

import asyncio
import gzip
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

import schemas
from pipeline.configuration import load
from transforms.models import Endpoint
from transforms.select_models import Selection

ROWS_AT_ONCE = 2_000
COPIED = ("database", "page_id", "page_title", "page_namespace", "page_is_redirect", "rev_id", "rev_timestamp", "performer", "rev_parent_id")
SCHEMA = "/mediawiki/revision/score/3.0.0"


class Writers:
    def __init__(self, output: Path) -> None:
        self.output = output
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, pq.ParquetWriter] = {}

    def add(self, model: str, row: dict[str, Any]) -> None:
        rows = self.rows.setdefault(model, [])
        rows.append(row)
        if len(rows) >= ROWS_AT_ONCE:
            self.write(model)

    def write(self, model: str) -> None:
        columns = schemas.arrow_schema(SCHEMA)
        if model not in self.files:
            self.files[model] = pq.ParquetWriter(self.output / f"{model}.parquet", columns, compression="snappy")
        self.files[model].write_table(pa.Table.from_pylist(self.rows.pop(model), columns))

    def close(self) -> None:
        for model in list(self.rows):
            self.write(model)
        for file in self.files.values():
            file.close()


def row_of(event: dict[str, Any], model: str, answer: dict[str, Any]) -> dict[str, Any]:
    version = answer["models"][model]["version"]
    score = answer["scores"][str(event["rev_id"])][model]["score"]
    prediction = score["prediction"]
    if isinstance(prediction, bool):
        prediction = "true" if prediction else "false"
    if isinstance(prediction, str):
        prediction = [prediction]
    meta = event["meta"]
    row = {name: event[name] for name in COPIED if name in event}
    row["_schema"] = SCHEMA
    row["dt"] = event["dt"]
    row["meta"] = {
        "stream": f"mediawiki.revision-score-{model}",
        "id": str(uuid.uuid4()),
        "dt": datetime.now(timezone.utc).isoformat(),
        **{name: meta[name] for name in ("request_id", "domain", "uri") if name in meta},
    }
    row["scores"] = {model: {"model_name": model, "model_version": version, "prediction": prediction, "probability": score["probability"]}}
    return row


def calls(file: Path, selection: Selection) -> Iterator[tuple[dict[str, Any], Endpoint]]:
    with gzip.open(file, "rb") as lines:
        for line in lines:
            event = orjson.loads(line)
            for endpoint in selection.endpoints(event):
                yield event, endpoint


async def main(events: Path, output: Path, lift_wing: str, models: Path, at_once: int) -> None:
    wanted = calls(events, Selection(load(models).models))
    writers = Writers(output)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:

        async def worker() -> None:
            for event, endpoint in wanted:
                headers = {"Host": endpoint.host, "Content-Type": "application/json"}
                async with session.post(lift_wing + endpoint.path, data=orjson.dumps({"rev_id": event["rev_id"]}), headers=headers) as response:
                    answer = orjson.loads(await response.read())
                writers.add(endpoint.model, row_of(event, endpoint.model, answer[endpoint.wiki]))

        await asyncio.gather(*(worker() for _ in range(at_once)))
    writers.close()


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True)
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), int(sys.argv[5])))
