"""The batch job as one would write it by hand, for `batch.py` to compare with: asyncio, aiohttp and orjson,
and nothing of this project.

One reader, at most so many calls at once, the same rules, the same events in the same kind of Parquet file
per model. It leaves out what such a script leaves out: validation, failures, retries beyond three tries,
metrics, Hive partitions.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.benchmarks.peers.batch_by_hand import TRIES, Files, events, options
from tests.benchmarks.peers.by_hand import Call, Rules, score_event


class Job:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.rules = Rules(arguments.rules)
        self.files = Files(Path(arguments.output))
        self.free = asyncio.Semaphore(arguments.in_flight)
        self.failed = 0

    async def run(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(30)
        ) as session:
            for event in events(Path(self.arguments.input)):
                for call in self.rules.calls(event):
                    await self.free.acquire()
                    task = asyncio.create_task(self.score(session, event, call))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        self.files.close()

    async def score(self, session: aiohttp.ClientSession, event: dict[str, Any], call: Call) -> None:
        model, host, path = call
        body = orjson.dumps({"rev_id": event["rev_id"]})
        try:
            for _ in range(TRIES):
                async with session.post(
                    self.arguments.lift_wing + path,
                    data=body,
                    headers={"Host": host, "Content-Type": "application/json"},
                ) as response:
                    answer = await response.read()
                if response.status == 200:
                    self.files.add(model, score_event(event, model, answer))
                    return
            self.failed += 1
        finally:
            self.free.release()


def main() -> None:
    parser = options()
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
