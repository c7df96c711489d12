"""Stands before an S3 and, while told to, answers writes in its stead with an error of Amazon's."""

from __future__ import annotations

import http.client

from tests.support.loopback import Handler, LoopbackServer

_ERRORS = {"SlowDown": 503, "AccessDenied": 403}
_OF_A_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class _Handler(Handler):
    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server_of.fault
        if fault and self.command in ("PUT", "POST"):
            self.server_of.refused += 1
            self._say(_ERRORS[fault], {}, f"<Error><Code>{fault}</Code></Error>".encode())
            return
        connection = http.client.HTTPConnection(self.server_of.address)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OF_A_HOP}
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self._say(answer.status, headers, content, length)
        connection.close()

    def _say(self, status: int, headers: dict[str, str], content: bytes, length: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 (names that http.server calls)


class S3Proxy(LoopbackServer):
    """`fault`: SlowDown or AccessDenied; empty: all is passed on to `address`, HOST:PORT."""

    handler = _Handler
    path = ""

    def __init__(self, address: str) -> None:
        self.address, self.fault, self.refused = address, "", 0
        super().__init__()
