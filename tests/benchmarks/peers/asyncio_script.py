"""The stream as one would write it by hand: asyncio, aiohttp and confluent-kafka.

With --groups each model has a consumer group of its own and so many calls at once; else one group and one
pool of calls for all. An offset is committed when all before it is done, so that a crash loses nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.benchmarks.peers.by_hand import Call, Rules, score_event

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 60.0


class Done:
    """The offsets of a partition whose events are being worked on, in order."""

    def __init__(self) -> None:
        self.open: deque[tuple[int, set[asyncio.Task[None]]]] = deque()

    def next_offset(self) -> int | None:
        """One more than the last offset before which nothing is open; None: nothing new."""
        done = None
        while self.open and all(task.done() for task in self.open[0][1]):
            done = self.open.popleft()[0] + 1
        return done


class Group:
    """A consumer group, and the models it serves."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        name: str,
        models: set[str],
        producer: Producer,
        session: aiohttp.ClientSession,
    ) -> None:
        self._arguments, self._models, self._producer, self._session = arguments, models, producer, session
        self._rules = Rules(arguments.rules)
        self._free = asyncio.Semaphore(arguments.in_flight)
        self._done: dict[tuple[str, int], Done] = {}
        settings = {
            "bootstrap.servers": arguments.kafka,
            "group.id": name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
        self._consumer = Consumer({**settings, "fetch.wait.max.ms": 10, "log_level": 0})
        self._consumer.subscribe(arguments.topics.split(","))

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        committed = loop.time()
        while True:
            first = await loop.run_in_executor(None, self._consumer.poll, 0.1)
            for message in [first, *self._consumer.consume(100, 0)] if first else []:
                if not message.error():
                    await self._take(message)
            if loop.time() > committed + 1:
                committed = loop.time()
                self._commit()

    async def _take(self, message: Any) -> None:
        event, tasks = orjson.loads(message.value()), set()
        for call in self._rules.calls(event):
            if call[0] in self._models:
                await self._free.acquire()
                tasks.add(asyncio.create_task(self._score(event, call, message.topic().partition(".")[0])))
        self._done.setdefault((message.topic(), message.partition()), Done()).open.append(
            (message.offset(), tasks)
        )

    def _commit(self) -> None:
        offsets = [
            TopicPartition(*where, offset)
            for where, done in self._done.items()
            if (offset := done.next_offset()) is not None
        ]
        if offsets:
            self._producer.flush()
            self._consumer.commit(offsets=offsets, asynchronous=True)

    async def _score(self, event: dict[str, Any], call: Call, datacenter: str) -> None:
        model, host, path = call
        backoff = FIRST_BACKOFF_S
        try:
            while (answer := await self._ask(host, path, event["rev_id"])) is None:
                await asyncio.sleep(backoff)
                backoff = min(LONGEST_BACKOFF_S, 2 * backoff)
            self._producer.produce(
                f"{datacenter}.mediawiki.revision-score-{model}",
                orjson.dumps(score_event(event, model, answer)),
            )
            self._producer.poll(0)
        finally:
            self._free.release()

    async def _ask(self, host: str, path: str, rev_id: int) -> bytes | None:
        headers = {"Host": host, "Content-Type": "application/json"}
        try:
            async with self._session.post(
                self._arguments.lift_wing + path, data=b'{"rev_id": %d}' % rev_id, headers=headers
            ) as response:
                answer = await response.read()
                return answer if response.status == 200 else None
        except (aiohttp.ClientError, asyncio.TimeoutError):
            return None


async def run(arguments: argparse.Namespace) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)  # type: ignore[union-attr]
    models = Rules(arguments.rules).models
    groups = {f"script-{model}": {model} for model in models} if arguments.groups else {"script": set(models)}
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(len(groups)))  # each blocks one
    producer = Producer({"bootstrap.servers": arguments.kafka, "acks": "all", "linger.ms": 1, "log_level": 0})
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(30)
    ) as session:
        print("reading", flush=True)
        await asyncio.gather(
            *(Group(arguments, name, of_group, producer, session).run() for name, of_group in groups.items())
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    for option in ("--kafka", "--lift-wing", "--rules", "--topics"):
        parser.add_argument(option, required=True)
    parser.add_argument("--groups", action="store_true")
    parser.add_argument("--in-flight", type=int, required=True, help="calls at once, of each group")
    try:
        asyncio.run(run(parser.parse_args()))
    except asyncio.CancelledError:
        return


if __name__ == "__main__":
    main()
