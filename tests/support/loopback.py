"""What the servers of the tests share: HTTP on loopback, in threads of this process."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import Self


class LoopbackServer:
    """Serves while its context is open; each request by a `handler`, which has this as its `server_of`."""

    handler: type[Handler]
    path: str

    def __init__(self) -> None:
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (self.handler,), {"server_of": self})
        )
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{self.path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    server_of: Any
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass
