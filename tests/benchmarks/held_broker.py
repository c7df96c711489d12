"""A proxy before a Kafka broker that holds each produce request for a while, as a slow disk or network would,
so that answers, acknowledgements and checkpoints come in every order."""

from __future__ import annotations

import asyncio
import random
import struct
import threading

from typing_extensions import Self

_PRODUCE = 0  # Kafka's number of this request


class HeldBroker:
    """Listens at `port` while its context is open, and passes everything on to the broker at `behind`,
    HOST:PORT."""

    def __init__(self, port: int, behind: str, longest_s: float) -> None:
        self.address = f"127.0.0.1:{port}"
        self._port, self._behind, self._longest_s = port, behind, longest_s
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self._port))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._behind.partition(":")
        try:
            from_broker, to_broker = await asyncio.open_connection(host, int(port))
            await asyncio.gather(self._requests(reader, to_broker), self._answers(from_broker, writer))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    async def _requests(self, reader: asyncio.StreamReader, to_broker: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = await reader.readexactly(4)
                request = await reader.readexactly(struct.unpack(">i", size)[0])
                if struct.unpack(">h", request[:2])[0] == _PRODUCE:
                    await asyncio.sleep(random.uniform(0, self._longest_s))
                to_broker.write(size + request)
                await to_broker.drain()
        finally:
            to_broker.close()

    async def _answers(self, from_broker: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await from_broker.read(1 << 16):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
