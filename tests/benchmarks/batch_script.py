"""The batch job as one would write it by hand, for `batch.py` to compare with: asyncio, aiohttp and orjson, and nothing of this project.

One reader, at most 64 calls at once, the same rules, the same events in the same kind of Parquet file per model. It leaves out what
such a script leaves out: validation, failures, retries beyond three tries, metrics, Hive partitions.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROWS_HELD = 2_000
TRIES = 3
COPIED = ["page_id", "page_title", "page_namespace", "page_is_redirect", "rev_id", "rev_parent_id", "rev_timestamp"]
NAMESPACE = hashlib.sha1(uuid.NAMESPACE_URL.bytes)

COLUMNS = pa.schema(
    {
        "_schema": pa.string(),
        "dt": pa.string(),
        "meta": pa.struct({name: pa.string() for name in ("stream", "id", "dt", "request_id", "domain", "uri")}),
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


def read_rules(file: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Model, host and kind of event by wiki."""
    rules: dict[str, list[tuple[str, str, str]]] = {}
    for model, told in yaml.load(file.read_text(), yaml.BaseLoader)["models"].items():  # else `on` is true
        wikis = told["wikis"] if isinstance(told["wikis"], dict) else dict.fromkeys(told["wikis"], {})
        for wiki, own in wikis.items():
            if "false" not in (told.get("enabled"), own.get("enabled")):
                rules.setdefault(wiki, []).append((model, f"{wiki}-{model}.{told['namespace']}.wikimedia.org", own.get("on", told.get("on", "edit"))))
    return rules


def is_wanted(event: dict[str, Any], kind: str) -> bool:
    if kind == "edit":
        return True
    is_bot = "bot" in event.get("performer", {}).get("user_groups", ())
    is_new = not event.get("rev_parent_id")
    is_main = event["page_namespace"] == 0
    return (
        ("nonbot" not in kind or not is_bot)
        and (not kind.startswith("bot") or is_bot)
        and ("creation" not in kind or is_new)
        and (not kind.startswith("main") or is_main)
    )


def score_event(event: dict[str, Any], model: str, told: dict[str, Any]) -> dict[str, Any]:
    stream = f"mediawiki.revision-score-{model}"
    of_wiki = told[event["database"]]
    score = of_wiki["scores"][str(event["rev_id"])][model]["score"]
    prediction = score["prediction"]
    digest = NAMESPACE.copy()
    digest.update(f"{stream}{event['database']}{event['rev_id']}{event['meta']['id']}".encode())
    meta = event["meta"]
    row = {
        "_schema": "/mediawiki/revision/score/3.0.0",
        "dt": event["dt"],
        "meta": {
            "stream": stream,
            "id": str(uuid.UUID(bytes=digest.digest()[:16], version=5)),
            "dt": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
            "request_id": meta.get("request_id"),
            "domain": meta.get("domain"),
            "uri": meta.get("uri"),
        },
        "database": event["database"],
        "performer": event.get("performer"),
        "scores": {
            model: {
                "model_name": model,
                "model_version": of_wiki["models"][model]["version"],
                "prediction": [str(prediction).lower()] if isinstance(prediction, bool) else prediction if isinstance(prediction, list) else [prediction],
                "probability": score["probability"],
            }
        },
    }
    for name in COPIED:
        row[name] = event.get(name)
    return row


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


class Job:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.rules = read_rules(arguments.models)
        self.files = Files(arguments.output)
        self.free = asyncio.Semaphore(arguments.in_flight)
        self.failed = 0

    async def run(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(30)) as session:
            with gzip.open(self.arguments.input, "rb") as lines:
                for line in lines:
                    event = orjson.loads(line)
                    for model, host, kind in self.rules.get(event["database"], ()):
                        if is_wanted(event, kind):
                            await self.free.acquire()
                            task = asyncio.create_task(self.score(session, event, model, host))
                            tasks.add(task)
                            task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        self.files.close()

    async def score(self, session: aiohttp.ClientSession, event: dict[str, Any], model: str, host: str) -> None:
        url = f"{self.arguments.lift_wing}/v1/models/{event['database']}-{model}:predict"
        body = orjson.dumps({"rev_id": event["rev_id"]})
        try:
            for _ in range(TRIES):
                async with session.post(url, data=body, headers={"Host": host, "Content-Type": "application/json"}) as response:
                    answer = await response.read()
                if response.status == 200:
                    self.files.add(model, score_event(event, model, orjson.loads(answer)))
                    return
            self.failed += 1
        finally:
            self.free.release()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--lift-wing", required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--uvloop", action="store_true")
    arguments = parser.parse_args()
    if arguments.uvloop:
        import uvloop

        uvloop.install()

    async def run() -> int:
        job = Job(arguments)
        await job.run()
        return job.failed

    print(f"{asyncio.run(run())} failed")


if __name__ == "__main__":
    main()
