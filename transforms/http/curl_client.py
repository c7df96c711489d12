"""HTTP calls by libcurl on an asyncio loop, for the one hot path of the project.

Of the clients measured (`tests/benchmarks/http_clients.py`) libcurl takes a third of aiohttp's CPU for a call
and a tenth of requests', and it keeps one pool of connections for any number of Host headers.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import NamedTuple

import certifi
import pycurl

from transforms.http.user_agent import USER_AGENT

_LARGEST_BODY = 4 << 20  # bytes; a score is a few hundred to a few thousand
_CONNECT_TIMEOUT_MS = 5_000
_EVENTS = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_REMOVE: 0,
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
_ACTIONS = {
    select.EPOLLIN: pycurl.CSELECT_IN,
    select.EPOLLOUT: pycurl.CSELECT_OUT,
    select.EPOLLIN | select.EPOLLOUT: pycurl.CSELECT_IN | pycurl.CSELECT_OUT,
}


class HttpAnswer(NamedTuple):
    """What came back: a status and a body, and what went wrong on the way."""

    status: int  # 0: none came
    body: bytes
    seconds: float  # that the call took
    retry_after_s: float  # of the header Retry-After; 0: there was none
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
        # of its own, as it forgets a socket that is closed; an event loop has to be told before
        self._epoll = select.epoll()
        self._wanted: dict[int, int] = {}  # by socket, the events that libcurl waits for
        loop.add_reader(self._epoll.fileno(), self._ready)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = self._due = inf  # when it comes, and when libcurl wants it, on the loop's clock
        self._idle: list[pycurl.Curl] = []
        self._bodies: dict[pycurl.Curl, list[bytes]] = {}  # of each handle, what has come
        self._open: dict[pycurl.Curl, Callable[[HttpAnswer], None]] = {}

    def post(self, url: str, headers: list[str], body: bytes, done: Callable[[HttpAnswer], None]) -> None:
        """Sends a POST, and passes its answer to `done`. `headers`: lines."""
        handle = self._idle.pop() if self._idle else self._new_handle()
        handle.setopt(pycurl.POSTFIELDS, body)
        self._call(handle, url, headers, done)

    def get(self, url: str, headers: list[str], done: Callable[[HttpAnswer], None]) -> None:
        """Sends a GET, and passes its answer to `done`."""
        handle = self._idle.pop() if self._idle else self._new_handle()
        handle.setopt(pycurl.HTTPGET, 1)
        self._call(handle, url, headers, done)

    def _call(
        self, handle: pycurl.Curl, url: str, headers: list[str], done: Callable[[HttpAnswer], None]
    ) -> None:
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTPHEADER, headers)
        self._open[handle] = done
        self._multi.add_handle(handle)

    def close(self) -> None:
        """Drops the calls in flight, whose answers nobody hears, and closes the connections."""
        if self._timer:
            self._timer.cancel()
        for handle in self._open:
            self._multi.remove_handle(handle)
        self._multi.close()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

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
        self._bodies[handle] = []
        handle.setopt(pycurl.WRITEFUNCTION, self._bodies[handle].append)
        return handle

    def _watch(self, what: int, fd: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        """Notes what libcurl waits for. A socket stays registered between calls: to register it anew for each
        takes a sixth of a call's CPU."""
        wanted = self._wanted[fd] = _EVENTS[what]
        if wanted:
            try:
                self._epoll.modify(fd, wanted)
            except FileNotFoundError:  # it is new, though a closed one may have had its number
                self._epoll.register(fd, wanted)

    def _ready(self) -> None:
        for fd, events in self._epoll.poll(0):
            wanted = self._wanted.get(fd, 0)
            if wanted:
                self._act(fd, _ACTIONS.get(events) or _ACTIONS[wanted])  # an error is found by either
            else:  # its server closed it, which libcurl sees when it would use it again
                with suppress(OSError):
                    self._epoll.unregister(fd)

    def _set_timer(self, milliseconds: int) -> None:
        """Calls back when libcurl asks. A timer that is due before that stays, as the time is another one
        with each call."""
        if milliseconds == 0:
            self._loop.call_soon(self._act, pycurl.SOCKET_TIMEOUT, 0)
            return
        self._due = self._loop.time() + milliseconds / 1000 if milliseconds > 0 else inf
        if self._timer is None or self._due < self._timer_due:
            self._start_timer()

    def _start_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer, self._timer_due = None, self._due
        if self._due < inf:
            self._timer = self._loop.call_at(self._due, self._timed)

    def _timed(self) -> None:
        self._timer = None
        if self._loop.time() < self._due:
            self._start_timer()
        else:
            self._act(pycurl.SOCKET_TIMEOUT, 0)

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
        done, body = self._open.pop(handle), self._bodies[handle]
        answer = HttpAnswer(
            status=handle.getinfo(pycurl.RESPONSE_CODE),
            body=b"".join(body),
            seconds=handle.getinfo(pycurl.TOTAL_TIME),
            retry_after_s=float(handle.getinfo(pycurl.RETRY_AFTER)),
            error=error,
            timed_out=number == pycurl.E_OPERATION_TIMEDOUT,
            too_large=number == pycurl.E_FILESIZE_EXCEEDED,
        )
        body.clear()
        self._multi.remove_handle(handle)
        self._idle.append(handle)
        done(answer)


def host_ca_file() -> str:
    """Returns the file of certificates that this host trusts: where SSL_CERT_FILE or OpenSSL says, where
    Debian and Red Hat keep it, else certifi's."""
    places = [
        ssl.get_default_verify_paths().cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ]
    return next((place for place in places if place and Path(place).is_file()), certifi.where())
