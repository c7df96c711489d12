"""HTTP calls by libcurl on an asyncio loop, for the one hot path of the project.

Of the clients measured (`tests/benchmarks/http_clients.py`) libcurl takes a third of aiohttp's CPU for a call
and a tenth of requests', and it keeps one pool of connections for any number of Host headers.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import certifi
import pycurl

_HOME = "https://gitlab.wikimedia.org/repos/machine-learning/revision-scores"
_LARGEST_BODY = 4 << 20  # bytes; a score is a few hundred to a few thousand
_CONNECT_TIMEOUT_MS = 5_000


def user_agent(contact: str | None = None) -> str:
    """The User-Agent of all our calls. Wikimedia refuses agents that name no contact: the project's home, and
    whoever runs it if that is given."""
    return (
        f"revision-scores/{version('revision-scores')} ({_HOME}{f'; {contact}' if contact else ''}) "
        f"libcurl/{pycurl.version_info()[1]}"
    )


USER_AGENT = user_agent()


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: a status and a body, and what went wrong on the way."""

    status: int  # 0: none came
    body: bytes
    seconds: float
    retry_after_s: float
    error: str = ""  # why this is not the whole answer
    timed_out: bool = False
    too_large: bool = False


class HttpCalls:
    """Calls over connections that stay open. Every method runs on the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float, ca_file: str | None) -> None:
        self._loop = loop
        self._timeout_ms = round(timeout_s * 1000)
        self._ca_file = ca_file or host_ca_file()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, 1024)  # idle connections kept
        self._watched: dict[int, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._idle: list[pycurl.Curl] = []
        self._open: dict[pycurl.Curl, tuple[list[bytes], Callable[[HttpAnswer], None]]] = {}

    def post(self, url: str, headers: list[str], body: bytes, done: Callable[[HttpAnswer], None]) -> None:
        handle = self._idle.pop() if self._idle else self._new_handle()
        handle.setopt(pycurl.POSTFIELDS, body)
        self._call(handle, url, headers, done)

    def get(self, url: str, headers: list[str], done: Callable[[HttpAnswer], None]) -> None:
        handle = self._idle.pop() if self._idle else self._new_handle()
        handle.setopt(pycurl.HTTPGET, 1)
        self._call(handle, url, headers, done)

    def _call(
        self, handle: pycurl.Curl, url: str, headers: list[str], done: Callable[[HttpAnswer], None]
    ) -> None:
        chunks: list[bytes] = []
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTPHEADER, headers)
        handle.setopt(pycurl.WRITEFUNCTION, chunks.append)
        self._open[handle] = (chunks, done)
        self._multi.add_handle(handle)

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        for handle in self._open:
            self._multi.remove_handle(handle)
        self._multi.close()

    def _new_handle(self) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.USERAGENT, USER_AGENT)
        # HTTP/1.1 on purpose: a lost connection then loses one call, not a hundred that share it.
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.TIMEOUT_MS, self._timeout_ms)
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, min(_CONNECT_TIMEOUT_MS, self._timeout_ms))
        handle.setopt(pycurl.MAXFILESIZE, _LARGEST_BODY)
        handle.setopt(pycurl.CAINFO, self._ca_file)
        # Lift Wing is inside; a proxy of the environment must not see its calls
        handle.setopt(pycurl.NOPROXY, "*")
        return handle

    def _watch(self, what: int, fd: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        before, wanted = self._watched.get(fd, 0), 0 if what == pycurl.POLL_REMOVE else what
        if wanted & pycurl.POLL_IN and not before & pycurl.POLL_IN:
            self._loop.add_reader(fd, self._act, fd, pycurl.CSELECT_IN)
        elif before & pycurl.POLL_IN and not wanted & pycurl.POLL_IN:
            self._loop.remove_reader(fd)
        if wanted & pycurl.POLL_OUT and not before & pycurl.POLL_OUT:
            self._loop.add_writer(fd, self._act, fd, pycurl.CSELECT_OUT)
        elif before & pycurl.POLL_OUT and not wanted & pycurl.POLL_OUT:
            self._loop.remove_writer(fd)
        self._watched[fd] = wanted

    def _set_timer(self, milliseconds: int) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = (
            self._loop.call_later(milliseconds / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0)
            if milliseconds >= 0
            else None
        )

    def _act(self, fd: int, event: int) -> None:
        self._multi.socket_action(fd, event)
        while True:
            more, answered, failed = self._multi.info_read()
            for handle in answered:
                self._finish(handle, 0, "")
            for handle, number, message in failed:
                self._finish(handle, number, message or f"curl error {number}")
            if not more:
                return

    def _finish(self, handle: pycurl.Curl, number: int, error: str) -> None:
        chunks, done = self._open.pop(handle)
        answer = HttpAnswer(
            status=handle.getinfo(pycurl.RESPONSE_CODE),
            body=b"".join(chunks),
            seconds=handle.getinfo(pycurl.TOTAL_TIME),
            retry_after_s=float(handle.getinfo(pycurl.RETRY_AFTER)),
            error=error,
            timed_out=number == pycurl.E_OPERATION_TIMEDOUT,
            too_large=number == pycurl.E_FILESIZE_EXCEEDED,
        )
        self._multi.remove_handle(handle)
        self._idle.append(handle)
        done(answer)


def host_ca_file() -> str:
    """The certificates this host trusts: where SSL_CERT_FILE or OpenSSL says, where Debian and Red Hat keep
    them, else certifi's."""
    places = [
        ssl.get_default_verify_paths().cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ]
    return next((place for place in places if place and Path(place).is_file()), certifi.where())
