"""A Lift Wing that gives odd answers: a real server on loopback, in a thread of this process."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from concurrent.futures import Future
from random import Random

import orjson
from typing_extensions import Self

from tests.fuzz.odd_answers import good, odd_answer, plain_answer

_PATH = re.compile(rb"POST \S*/v1/models/([a-z_0-9]+)-([a-z0-9_]+):predict ")
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class OddLiftWing:
    """Answers a revision's first `odd` calls by `seed`, and those after them well, or for one in ten with a
    lasting 400."""

    def __init__(self, seed: int, odd: int) -> None:
        self._seed, self._odd = seed, odd
        self.calls: Counter[tuple[str, int]] = Counter()  # by service and revision
        self._loop = asyncio.new_event_loop()
        self._url: Future[str] = Future()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="odd Lift Wing", daemon=True)
        self._thread.start()
        self.url = self._url.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        )
        self._url.set_result(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b"{}"
            writer.write(self._answer(head, body))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _answer(self, head: bytes, body: bytes) -> bytes:
        path = _PATH.match(head)
        if path is None:
            return plain_answer(404, {"detail": "Not Found"})
        wiki, model, rev_id = (
            path[1].decode().partition("_x")[0],
            path[2].decode(),
            int(orjson.loads(body)["rev_id"]),
        )
        self.calls[f"{wiki}-{model}", rev_id] += 1
        times = self.calls[f"{wiki}-{model}", rev_id]
        if times <= self._odd:
            return odd_answer(
                Random(f"{self._seed} {wiki} {model} {rev_id} {times}"), good(wiki, model, rev_id)
            )
        return (
            plain_answer(400, {"error": "no"})
            if rev_id % 10 == 0
            else plain_answer(200, good(wiki, model, rev_id))
        )
