"""The page and its events over HTTP, for as many readers as come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson

from pipeline.watch.allowed_hosts import AllowedHosts

_PAGE = Path(__file__).parent / "page"
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/charts.js": ("charts.js", "text/javascript"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_SILENCE_S = 15.0  # after which a connection without news is told that there are none

Probe = Callable[[], tuple[int, Mapping[str, Any] | bytes]]  # gives status and body, JSON or plain text


class Events:
    """The latest event of each kind; each connection takes it when it can: a slow reader misses some and
    holds up nobody."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._latest: dict[str, tuple[int, bytes]] = {}
        self._number = 0

    def publish(self, kind: str, data: Mapping[str, Any]) -> None:
        """Replaces the event of this kind."""
        encoded = b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))
        with self._changed:
            self._number += 1
            self._latest[kind] = self._number, encoded
            self._changed.notify_all()

    def after(self, number: int) -> tuple[int, bytes]:
        """Returns what is newer than that number, after the number of the newest; a comment when nothing
        comes for 15 s."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number, _SILENCE_S)
            newer = [encoded for at, encoded in sorted(self._latest.values()) if at > number]
            return self._number, b"".join(newer) or b": nothing new\n\n"


class PageServer(ThreadingHTTPServer):
    """Serves at an address, host and port, until it is closed. Raises OSError when the port is taken."""

    daemon_threads = True
    request_queue_size = 128  # readers that come at once; who finds no room tries again after a second

    def __init__(
        self,
        address: tuple[str, int],
        events: Events,
        probes: Mapping[str, Probe] | None = None,
        hosts: AllowedHosts | None = None,
    ) -> None:
        """`probes`: what is asked by path, beside the page. `hosts`: under which names."""
        super().__init__(address, _Handler)
        self.events, self.probes, self.hosts = events, probes or {}, hosts or AllowedHosts()
        self.url = f"http://{address[0]}:{self.server_port}"
        threading.Thread(target=self.serve_forever, name="page", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores a reader who leaves."""


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    timeout = 60  # of a reader who takes nothing

    def do_GET(self) -> None:
        named = self.headers.get_all("Host", [])
        if not self.server.hosts.allow(named):
            self._head(421, "text/plain; charset=utf-8")
            self.wfile.write(AllowedHosts.REPAIR)
            return
        path = self.path.partition("?")[0]
        if path == "/events":
            self._send_events()
        elif path in self.server.probes:
            status, told = self.server.probes[path]()
            self._head(
                status,
                "text/plain; version=0.0.4; charset=utf-8" if isinstance(told, bytes) else "application/json",
            )
            self.wfile.write(told if isinstance(told, bytes) else orjson.dumps(told) + b"\n")
        elif path in _FILES:
            name, kind = _FILES[path]
            body = (_PAGE / name).read_bytes()
            self._head(200, f"{kind}; charset=utf-8")
            self.wfile.write(body)
        else:
            self._head(404, "text/plain; charset=utf-8")
            self.wfile.write(b"nothing is here; the page is at /\n")

    def _head(self, status: int, kind: str) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Cache-Control": "no-store",
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_events(self) -> None:
        self._head(200, "text/event-stream")
        number = 0
        while True:
            number, news = self.server.events.after(number)
            self.wfile.write(news)
            self.wfile.flush()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the base class has it so
        """Says nothing: a line for each request would hide what matters."""
