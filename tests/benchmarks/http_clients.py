"""What one call to Lift Wing costs by each HTTP client: this project's engine, libcurl below it, and what one
would take instead.

Each client is a process of its own, and only its calls are measured, not its start; the simulated Lift Wing
is another process. Plain HTTP/1.1 on this machine: TLS and a real network come on top for all of them.

    python -m tests.benchmarks.http_clients --calls 10000 --rounds 3
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from runners.programs import SimulatedLiftWingProgram
from tests.benchmarks.measuring import measured, per_10_000, table

WIKI, MODEL, NAMESPACE = "enwiki", "damaging", "revscoring-editquality-damaging"
PATH = f"/v1/models/{WIKI}-{MODEL}:predict"
HEADERS = {"Host": f"{WIKI}-{MODEL}.{NAMESPACE}.wikimedia.org", "Content-Type": "application/json"}
LOADS = [(0.0, 64), (0.05, 64), (0.05, 256)]  # seconds of latency, calls in flight
FEWER = {"urllib3, threads": 4, "requests, threads": 8}  # they take so long that a part of the calls must do

Client = Callable[[str, int, int], None]  # url, calls, calls in flight


def body(rev_id: int) -> bytes:
    return b'{"rev_id": %d}' % rev_id


def check(status: int) -> None:
    if status != 200:
        raise RuntimeError(f"Lift Wing answered {status}")


def engine(url: str, calls: int, in_flight: int) -> None:
    from transforms.elements import Event, Score, ScoreRequest
    from transforms.lift_wing.bulkhead import CallResult
    from transforms.lift_wing.client import LiftWingClient
    from transforms.models.model import Endpoint, LiftWingSettings

    endpoint = Endpoint(WIKI, MODEL, NAMESPACE, "edit", concurrency=in_flight)
    lift_wing = LiftWingClient(LiftWingSettings(url, in_flight=in_flight))
    answered, done = itertools.count(1), threading.Event()

    def note(answer: CallResult) -> None:
        check(200 if isinstance(answer.result, Score) else 0)
        if next(answered) == calls:
            done.set()

    for rev_id in range(calls):
        lift_wing.submit(endpoint, ScoreRequest(Event({}, "eqiad", WIKI, rev_id), MODEL), note)
    done.wait()
    lift_wing.close()


def libcurl(url: str, calls: int, in_flight: int) -> None:
    import uvloop

    from transforms.http.curl_client import HttpAnswer, HttpCalls

    loop = uvloop.new_event_loop()
    http = HttpCalls(loop, 30.0, None)
    headers = [f"{name}: {value}" for name, value in HEADERS.items()] + ["Expect:"]
    left, out = iter(range(calls)), itertools.count(calls - 1, -1)

    def call() -> None:
        if (rev_id := next(left, None)) is not None:
            http.post(url + PATH, headers, body(rev_id), answered)

    def answered(answer: HttpAnswer) -> None:
        check(answer.status)
        call()
        if next(out) == 0:
            loop.stop()

    for _ in range(in_flight):
        loop.call_soon(call)
    loop.run_forever()
    http.close()


async def _aiohttp(url: str, calls: int, in_flight: int) -> None:
    import aiohttp

    left = iter(range(calls))

    async def caller(session: aiohttp.ClientSession) -> None:
        for rev_id in left:
            async with session.post(url + PATH, data=body(rev_id), headers=HEADERS) as response:
                await response.read()
                check(response.status)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:
        await asyncio.gather(*(caller(session) for _ in range(in_flight)))


def on_asyncio(url: str, calls: int, in_flight: int) -> None:
    asyncio.run(_aiohttp(url, calls, in_flight))


def on_uvloop(url: str, calls: int, in_flight: int) -> None:
    import uvloop

    uvloop.install()
    asyncio.run(_aiohttp(url, calls, in_flight))


def urllib3_threads(url: str, calls: int, in_flight: int) -> None:
    import urllib3

    pool = urllib3.PoolManager(maxsize=in_flight, block=True)

    def post(rev_id: int) -> None:
        check(pool.request("POST", url + PATH, body=body(rev_id), headers=HEADERS).status)

    with ThreadPoolExecutor(in_flight) as threads:
        list(threads.map(post, range(calls)))


def requests_threads(url: str, calls: int, in_flight: int) -> None:
    import requests

    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=in_flight, pool_block=True))

    def post(rev_id: int) -> None:
        check(session.post(url + PATH, data=body(rev_id), headers=HEADERS, timeout=30).status_code)

    with ThreadPoolExecutor(in_flight) as threads:
        list(threads.map(post, range(calls)))


CLIENTS: dict[str, Client] = {
    "LiftWingClient, the engine": engine,
    "libcurl, bare": libcurl,
    "aiohttp on uvloop": on_uvloop,
    "aiohttp": on_asyncio,
    "urllib3, threads": urllib3_threads,
    "requests, threads": requests_threads,
}


def run_client(name: str, url: str, calls: int, in_flight: int) -> None:
    """The work of the child: some calls to import and connect, then those that count."""
    CLIENTS[name](url, min(calls, 2 * in_flight), in_flight)
    began, cpu_s = time.monotonic(), _cpu_s()
    CLIENTS[name](url, calls, in_flight)
    print(json.dumps({"seconds": time.monotonic() - began, "cpu_s": _cpu_s() - cpu_s}))


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def compare(clients: list[str], calls: int, rounds: int) -> str:
    """A table of medians; the clients take turns."""
    figures: dict[tuple[str, tuple[float, int]], list[tuple[float, float]]] = {}
    for load in LOADS:
        with SimulatedLiftWingProgram("--latency", str(load[0])) as lift_wing:
            for _ in range(rounds):
                for name in clients:
                    count = calls // FEWER.get(name, 1)
                    told = json.loads(
                        measured(
                            "tests.benchmarks.http_clients",
                            "--client",
                            name,
                            lift_wing.url,
                            str(count),
                            str(load[1]),
                        ).output
                    )
                    figures.setdefault((name, load), []).append(
                        (per_10_000(told["cpu_s"], count), count / told["seconds"])
                    )
    rows: list[list[str | float]] = [
        [name, *(median(run[which] for run in figures[name, load]) for load in LOADS for which in (0, 1))]
        for name in clients
    ]
    columns = [
        text
        for latency, in_flight in LOADS
        for text in (f"{latency * 1000:.0f} ms, {in_flight}: CPU s", "calls/s")
    ]
    return table(
        f"HTTP clients: latency, calls in flight, CPU seconds per 10,000 calls; medians of {rounds}",
        ["", *columns],
        rows,
    )


def main(argv: list[str] | None = None) -> list[str]:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.http_clients", description="What a call costs by each HTTP client."
    )
    parser.add_argument(
        "--calls", type=int, default=10_000, help="for each client and load; the slow ones make fewer"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--clients",
        default=",".join(name.partition(",")[0] for name in CLIENTS),
        help="names up to their comma, with commas between",
    )
    parser.add_argument(
        "--client", nargs=4, metavar=("NAME", "URL", "CALLS", "IN_FLIGHT"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args(argv)
    if arguments.client:
        name, url, calls, in_flight = arguments.client
        run_client(name, url, int(calls), int(in_flight))
        return []
    wanted, known = arguments.clients.split(","), {name.partition(",")[0] for name in CLIENTS}
    if unknown := sorted({*wanted} - known):
        parser.error(f"--clients: there is no {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    tables = [
        compare(
            [name for name in CLIENTS if name.partition(",")[0] in wanted], arguments.calls, arguments.rounds
        )
    ]
    print("\n".join(tables), flush=True)
    return tables


if __name__ == "__main__":
    main()
