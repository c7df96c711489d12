"""Where the simulated Lift Wing listens: its own port, and another that can be shut and opened again."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(
    handle: Handle, address: str, port: int, tls: ssl.SSLContext | None
) -> AsyncIterator[str]:
    """Serves as long as the context is open; yields the URL. A client that goes away ends its call, as in
    `hang`."""
    server = web.Server(handle, access_log=None, keepalive_timeout=3600.0, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port, ssl_context=tls, backlog=1024).start()
        yield f"{'https' if tls else 'http'}://{address}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class OtherPort:
    """While it is shut, connections are refused and those that were open are lost. It belongs to this process
    until `close`."""

    def __init__(self, handle: Handle, address: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._handle, self._address, self._tls = handle, address, tls
        # bound and never listening: nobody else gets the port, not even as the near end of a connection
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind((address, port))
        self._open: AsyncExitStack | None = None

    async def open(self) -> str:
        """Opens the port, where it is shut; returns its URL."""
        port = self._holder.getsockname()[1]
        if self._open is None:
            self._open = AsyncExitStack()
            await self._open.enter_async_context(listening(self._handle, self._address, port, self._tls))
        return f"{'https' if self._tls else 'http'}://{self._address}:{port}"

    async def shut(self) -> None:
        if self._open is not None:
            await self._open.aclose()
            self._open = None

    async def close(self) -> None:
        await self.shut()
        self._holder.close()
