"""HTTP calls over real connections that servers close, cut and leave unanswered."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from transforms.http.curl_client import HttpAnswer, HttpCalls

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSES = "/closes"  # the connection, after the answer and without a word
HANGS = "/hangs"


class Calls(HttpCalls):
    """Counts how often it is woken."""

    woken = 0

    def _ready(self) -> None:
        self.woken += 1
        super()._ready()


def serve(connection: socket.socket) -> None:
    with connection:
        while request := connection.recv(65_536):
            path = request.split(b" ", 2)[1].decode()
            if path == HANGS:
                connection.recv(1)
                return
            connection.sendall(ANSWER)
            if path == CLOSES:
                return


@pytest.fixture
def url() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


async def get(calls: HttpCalls, url: str) -> HttpAnswer:
    answer: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
    calls.get(url, [], answer.set_result)
    return await answer


def test_a_connection_that_its_server_closes_is_replaced_and_wakes_nobody(url: str) -> None:
    async def run() -> tuple[list[int], int]:
        calls = Calls(asyncio.get_running_loop(), 5.0, None)
        found = []
        for _ in range(20):  # the sockets' numbers come again and again
            found += await asyncio.gather(
                *(get(calls, f"{url}{CLOSES if number % 2 else '/'}") for number in range(10))
            )
        before = calls.woken
        for _ in range(100):
            await asyncio.sleep(0)
        woken, statuses = calls.woken - before, [answer.status for answer in found]
        calls.close()
        return statuses, woken

    statuses, woken = asyncio.run(run())
    assert statuses == [200] * 200
    assert woken <= 10  # once at most for each connection that was closed


def test_a_call_without_an_answer_ends_in_time_while_others_are_answered(url: str) -> None:
    async def run() -> tuple[HttpAnswer, list[int]]:
        calls = HttpCalls(asyncio.get_running_loop(), 0.4, None)
        hanging = asyncio.ensure_future(get(calls, f"{url}{HANGS}"))
        statuses = []
        while not hanging.done():
            statuses.append((await get(calls, f"{url}/")).status)
        calls.close()
        return await hanging, statuses

    hung, statuses = asyncio.run(run())
    assert (hung.status, hung.timed_out) == (0, True)
    assert 0.4 <= hung.seconds < 2
    assert set(statuses) == {200}


def test_calls_that_are_open_when_all_end_leave_nothing_behind(url: str) -> None:
    async def run() -> None:
        calls = HttpCalls(asyncio.get_running_loop(), 5.0, None)
        calls.get(f"{url}{HANGS}", [], lambda answer: None)
        assert (await get(calls, f"{url}/")).body == b"ok"
        calls.close()
        again = HttpCalls(asyncio.get_running_loop(), 5.0, None)
        assert (await get(again, f"{url}/")).body == b"ok"
        again.close()

    asyncio.run(run())
