"""A simulated Lift Wing: a real HTTP server with the answers, errors and latencies of the real one.

    python -m runners.simulated_lift_wing --port 0 --latency staging

Like the Istio gateway of the real one (helmfile.d/ml-services/ in wikimedia/operations-deployment-charts) it finds the service by the
Host header. It shares the machine with what is measured, so it answers from aiohttp's bare server: no routes, no access log.

    POST /v1/models/{wiki}-{model}:predict   a score
    POST /control, DELETE /control           set a fault (see simulated_faults.Rule); clear all faults
    GET /stats, DELETE /stats                calls by model (a table for browsers); forget them
    GET /stats/revisions, /stats/seconds     how often each revision came; how long its last answer was held
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
from time import perf_counter
from types import TracebackType
from typing import Any, TypeVar

import orjson
from aiohttp import web

from runners import simulated_answers as answers
from runners import simulated_calls
from runners.simulated_calls import Service
from runners.simulated_faults import Rule, rule
from runners.simulated_latency import latency
from runners.simulated_scores import score, version

__all__ = ["SimulatedLiftWing", "score", "version"]

T = TypeVar("T")


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's if it is installed: a call then costs less."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class _Gateway:
    """The state of the simulation and its one request handler. Belongs to one event loop."""

    def __init__(self, latency_text: str, scale: float) -> None:
        self.services = simulated_calls.services()
        self.latency = latency(latency_text, scale)
        self.rules: list[Rule] = []  # newest first
        self.cleared = asyncio.Event()  # a new one after each clear: it wakes the calls that hang

    def control(self, wanted: dict[str, Any]) -> None:
        self.rules.insert(0, rule(wanted))

    def clear(self) -> None:
        self.rules = []
        self.cleared.set()
        self.cleared = asyncio.Event()

    def stats(self) -> dict[str, Any]:
        return simulated_calls.stats(self.services.values())

    def calls(self) -> dict[tuple[str, str, int], int]:
        return {(service.model, service.wiki, rev_id): count for service in self.services.values() for rev_id, count in service.revisions.items()}

    def forget(self) -> None:
        for service in self.services.values():
            service.forget()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        service = self.services.get(host) or self.services.get(host.partition(":")[0])
        if service is None:
            return await self._operate(request)
        started = perf_counter()
        service.total += 1
        service.in_flight += 1
        service.most_in_flight = max(service.most_in_flight, service.in_flight)
        try:
            if (response := answers.misdirected(request, service)) is None:
                response = await self._predict(request, service, started)
        except answers.InvalidInputError as error:
            response = answers.json({"error": str(error)}, 400)
        finally:
            service.in_flight -= 1
        if not (request.transport is None or request.transport.is_closing()):
            service.answered[response.status] += 1
            response.headers["X-Simulated-Seconds"] = f"{perf_counter() - started:.4f}"
        return response

    async def _predict(self, request: web.BaseRequest, service: Service, started: float) -> web.Response:
        if "Expect" in request.headers and request.transport:  # curl asks before it sends a whole event
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        inputs = answers.inputs_of(await request.read())
        rev_id = answers.rev_id_of(inputs)
        service.revisions[rev_id] = service.revisions.get(rev_id, 0) + 1
        fault = next((rule for rule in self.rules if rule.takes(service.wiki, service.model, rev_id)), None)
        await self._hold(service, rev_id, fault)
        if fault is not None and fault.mode == "drop" and request.transport:
            request.transport.close()
        else:
            service.seconds[rev_id] = round(perf_counter() - started, 4)
        extended = bool(inputs.get("extended_output"))
        return answers.good(service, rev_id, extended) if fault is None else answers.faulty(fault, service, rev_id, extended)

    async def _hold(self, service: Service, rev_id: int, fault: Rule | None) -> None:
        """A call that fails takes its time too."""
        if fault is not None and fault.mode == "hang":
            await self.cleared.wait()
        elif fault is not None and fault.mode == "slow":
            await asyncio.sleep(fault.seconds)
        elif seconds := self.latency(service.wiki, service.model, rev_id, service.revisions[rev_id]):
            await asyncio.sleep(seconds)

    async def _operate(self, request: web.BaseRequest) -> web.Response:
        match request.method, request.path:
            case "POST", "/control":
                try:
                    self.control(orjson.loads(await request.read()))
                except ValueError as error:
                    return answers.json({"error": str(error)}, 400)
            case "DELETE", "/control":
                self.clear()
            case "DELETE", "/stats":
                self.forget()
            case "GET", "/stats":
                told = self.stats()
                if request.headers.get("Accept", "").startswith("text/html"):
                    return web.Response(text=simulated_calls.page(told), content_type="text/html")
                return answers.json(told)
            case "GET", "/stats/revisions" | "/stats/seconds":
                return answers.json(simulated_calls.by_revision(self.services.values(), request.path.rpartition("/")[2]))
            case _:
                return web.Response(status=404)  # Istio's, for a host that it does not route
        return web.Response(status=204)


@asynccontextmanager
async def _listening(gateway: _Gateway, address: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    """Serves as long as the context is open; yields the URL. A client that goes away ends its call, as in `hang`."""
    server = web.Server(gateway.handle, access_log=None, keepalive_timeout=3600.0, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port, ssl_context=tls, backlog=1024).start()
        yield f"{'https' if tls else 'http'}://{address}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class SimulatedLiftWing:
    """The same server in a thread of this process, for tests.

    with SimulatedLiftWing() as lift_wing:
        lift_wing.control(mode="status", status=503, model="damaging", times=1)
    """

    url: str

    def __init__(self, latency: str | float = 0, scale: float = 1.0, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._gateway = _Gateway(str(latency), scale)
        self._port = port
        self._tls = tls
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="simulated Lift Wing", daemon=True)
        self._url: Future[str] = Future()

    def __enter__(self) -> SimulatedLiftWing:
        self._loop = _new_event_loop()
        self._thread.start()
        self.url = self._url.result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def control(self, **wanted: Any) -> None:
        """Sets a fault: the keys of simulated_faults.Rule."""
        self._ask(lambda: self._gateway.control(wanted))

    def clear(self) -> None:
        """Takes back all faults; calls that hang go on."""
        self._ask(self._gateway.clear)

    def calls(self) -> dict[tuple[str, str, int], int]:
        """How often each (model, wiki, rev_id) was asked for."""
        return self._ask(self._gateway.calls)

    def stats(self) -> dict[str, Any]:
        """What GET /stats says."""
        return self._ask(self._gateway.stats)

    def forget(self) -> None:
        """Starts the counts again."""
        self._ask(self._gateway.forget)

    def _ask(self, question: Callable[[], T]) -> T:
        """The loop's thread alone touches the state."""

        async def answer() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._url.set_exception(error)
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with _listening(self._gateway, "127.0.0.1", self._port, self._tls) as url:
            self._url.set_result(url)
            await self._stop.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulated_lift_wing", description="A simulated Lift Wing.")
    parser.add_argument("--address", default="127.0.0.1", help="where to listen; 0.0.0.0 in a container")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one")
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


async def _until_told_to_stop(gateway: _Gateway, address: str, port: int, tls: ssl.SSLContext | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _listening(gateway, address, port, tls) as url:
        print(f"simulated Lift Wing on {url}", flush=True)
        await stop.wait()


def main() -> int:
    arguments = _arguments()
    loop = _new_event_loop()
    try:
        gateway = _Gateway(arguments.latency, arguments.latency_scale)
        loop.run_until_complete(_until_told_to_stop(gateway, arguments.address, arguments.port, _tls(arguments)))
    except (OSError, ValueError) as error:  # a port that is taken, a certificate that cannot be read, a latency that is none
        print(f"simulated Lift Wing: {error}", file=sys.stderr)
        return 2
    finally:
        loop.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
