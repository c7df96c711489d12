"""A simulated Lift Wing: a real HTTP server with the answers, errors and latencies of the real one.

    python -m runners.simulated_lift_wing --port 0 --latency staging

Like the Istio gateway of the real one (helmfile.d/ml-services/ in wikimedia/operations-deployment-charts) it
finds the service by the Host header. It shares the machine with what is measured, so it answers from
aiohttp's bare server: no routes, no access log.

    POST /v1/models/{wiki}-{model}:predict   a score
    GET /v1/models/{wiki}-{model}            whether the model is loaded: 200, 404 where there is none
    POST /control, DELETE /control           set a fault (see faults.Rule); clear all, open the other port
    GET /stats, DELETE /stats                calls by model (a table for browsers); forget them
    GET /stats/revisions, /stats/seconds     how often each revision came; how long its last answer was held

With --no-records the last two stay empty and memory is flat over any number of calls: how long a call was
held is then told by the answer's X-Simulated-Seconds, and by `latency` for an attempt of 1.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

from runners.simulated_lift_wing.gateway import Gateway
from runners.simulated_lift_wing.listeners import OtherPort, listening
from runners.simulated_lift_wing.scores import score, version

__all__ = ["SimulatedLiftWing", "score", "version"]

T = TypeVar("T")
Ports = tuple[int, int | None]  # its own, 0 being any free one; the other one, if wanted


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's if it is installed: a call then costs less."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@asynccontextmanager
async def _serving(
    gateway: Gateway, address: str, ports: Ports, tls: ssl.SSLContext | None
) -> AsyncIterator[tuple[str, str]]:
    """Serves as long as the context is open; yields the URL, and that of the other port or nothing."""
    async with listening(gateway.handle, address, ports[0], tls) as url:
        if ports[1] is None:
            yield url, ""
            return
        gateway.other_port = OtherPort(gateway.handle, address, ports[1], tls)
        try:
            yield url, await gateway.other_port.open()
        finally:
            await gateway.other_port.close()


class SimulatedLiftWing:
    """The same server in a thread of this process, for tests.

    with SimulatedLiftWing() as lift_wing:
        lift_wing.control(mode="status", status=503, model="damaging", times=1)
    """

    url: str
    other_url: str  # of the port that control(mode="refuse") shuts and clear() opens again

    def __init__(
        self,
        *,
        latency: str | float = 0,
        scale: float = 1.0,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        keep_records: bool = True,
    ) -> None:
        self._gateway = Gateway(str(latency), scale, keep_records)
        self._port = port
        self._tls = tls
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="simulated Lift Wing", daemon=True)
        self._urls: Future[tuple[str, str]] = Future()

    def __enter__(self) -> SimulatedLiftWing:
        self._loop = _new_event_loop()
        self._thread.start()
        self.url, self.other_url = self._urls.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def control(self, **wanted: Any) -> None:
        """Sets a fault: the keys of faults.Rule."""
        asyncio.run_coroutine_threadsafe(self._gateway.control(wanted), self._loop).result()

    def clear(self) -> None:
        """Takes back all faults; calls that hang go on."""
        asyncio.run_coroutine_threadsafe(self._gateway.clear(), self._loop).result()

    def calls(self) -> dict[tuple[str, str, int], int]:
        """Returns how often each (model, wiki, rev_id) was asked for."""
        return self._ask(self._gateway.calls)

    def stats(self) -> dict[str, Any]:
        """Returns what GET /stats says."""
        return self._ask(self._gateway.stats)

    def forget(self) -> None:
        """Starts the counts again."""
        self._ask(self._gateway.forget)

    def _ask(self, question: Callable[[], T]) -> T:
        """Asks on the loop's thread, which alone touches the state."""

        async def answer() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._urls.set_exception(error)
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with _serving(self._gateway, "127.0.0.1", (self._port, 0), self._tls) as urls:
            self._urls.set_result(urls)
            await self._stop.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulated_lift_wing", description="A simulated Lift Wing.")
    parser.add_argument("--address", default="127.0.0.1", help="where to listen; 0.0.0.0 in a container")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one")
    parser.add_argument(
        "--other-port", type=int, help="one more port, which the fault `refuse` shuts; 0: any free one"
    )
    parser.add_argument("--no-records", action="store_true", help="remember nothing of single revisions")
    parser.add_argument("--latency", default="0", help="staging, lognormal:P50:P99 or seconds")
    parser.add_argument("--latency-scale", type=float, default=1.0)
    parser.add_argument("--tls-cert", help="PEM file")
    parser.add_argument("--tls-key", help="PEM file")
    arguments = parser.parse_args()
    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    return arguments


def _tls(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    if not arguments.tls_cert:
        return None
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    return tls


async def _until_told_to_stop(gateway: Gateway, arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _serving(
        gateway, arguments.address, (arguments.port, arguments.other_port), _tls(arguments)
    ) as (url, other_url):
        print(
            f"simulated Lift Wing on {url}" + (f"\nother port: {other_url}" if other_url else ""), flush=True
        )
        await stop.wait()


def main() -> int:
    arguments = _arguments()
    loop = _new_event_loop()
    try:
        gateway = Gateway(arguments.latency, arguments.latency_scale, not arguments.no_records)
        loop.run_until_complete(_until_told_to_stop(gateway, arguments))
    # a port that is taken, a certificate that cannot be read, a latency that is none
    except (OSError, ValueError) as error:
        print(f"simulated Lift Wing: {error}", file=sys.stderr)
        return 2
    finally:
        loop.close()
    return 0
