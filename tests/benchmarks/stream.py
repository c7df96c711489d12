"""What the stream adds to a call: Kafka-to-Kafka time less the time that the simulated Lift Wing itself held the call.

    python -m tests.benchmarks.stream [--rates 50,400] [--seconds 60] [--latency lognormal:0.48:6.5]

The real command, a real broker, an embedded Flink; this machine also runs what sends, answers and counts. The first ten seconds of a run
do not count. CPU: of the Python worker, and of Flink and the rest of the command, for 10,000 scores.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import requests
from confluent_kafka import Consumer, Producer

from pipeline.configuration import load
from runners.local_kafka import LocalKafka
from runners.played_edits import Key
from runners.programs import Program, SimulatedLiftWingProgram
from tests.benchmarks.inputs import CAPTURE, write_models
from tests.benchmarks.measuring import per_10_000, table
from transforms.models import Configuration
from transforms.select_models import Selection

WARM_UP_S = 10
MOST_IN_FLIGHT = 2_000  # at 400 calls/s and a mean of 0.9 s some 360 are


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="50,400", help="calls a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--latency", default="lognormal:0.48:6.5")
    arguments = parser.parse_args()
    rows = []
    for rate in map(float, arguments.rates.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(overhead(Path(folder), rate, arguments.seconds, arguments.latency))
    title = f"what the stream adds to calls of {arguments.latency}, for {arguments.seconds:.0f} s; CPU seconds per 10,000 scores"
    columns = ["calls/s", "calls", "scores", "p50 s", "p90 s", "p99 s", "CPU s: Python", "CPU s: Flink"]
    print(table(title, columns, rows), flush=True)


def overhead(folder: Path, rate: float, seconds: float, latency: str) -> list[str | float]:
    models = write_models(folder / "models.yaml", MOST_IN_FLIGHT, MOST_IN_FLIGHT)
    configuration = load(models)
    with SimulatedLiftWingProgram("--latency", latency) as lift_wing, LocalKafka(folder / "kafka") as kafka:
        load_ = Load(kafka, configuration)
        options = ["--models", str(models), "--kafka", kafka.address, "--lift-wing", lift_wing.url, "--from", "earliest", "--state", str(folder / "state")]
        with load_.counting(), Program("pipeline", "stream", *options) as program:
            program.wait_for("^reading")
            load_.send_until_scored()
            load_.send(rate, WARM_UP_S)
            began, before, scored = time.time(), cpu(program), len(load_.scored)
            load_.send(rate, seconds)
            used, scores = cpu(program), len(load_.scored) - scored
            load_.wait_until_all_scored()
        held = requests.get(f"{lift_wing.url}/stats/seconds", timeout=60).json()
    added = sorted(
        at - load_.sent[model, wiki, rev_id] - held[model][f"{wiki}:{rev_id}"]
        for (model, wiki, rev_id), at in load_.scored.items()
        if load_.sent[model, wiki, rev_id] >= began
    )
    quantiles = [added[int(share * (len(added) - 1))] for share in (0.5, 0.9, 0.99)]
    costs = [per_10_000(used[name] - before[name], scores) for name in ("python", "java")]
    return [f"{rate:.0f}", str(len(load_.sent)), str(len(load_.scored)), *quantiles, *costs]


def cpu(program: Program) -> dict[str, float]:
    """CPU seconds so far of the command and all that it started, Java and Python."""
    command = psutil.Process(program.process.pid)
    used = {"python": 0.0, "java": 0.0}
    for process in [command, *command.children(recursive=True)]:
        times = process.cpu_times()
        used["java" if process.name() == "java" else "python"] += times.user + times.system
    return used


class Load:
    """Sends real edits, each time with revisions of their own, at a steady rate of calls, and notes when which score came."""

    def __init__(self, kafka: LocalKafka, configuration: Configuration) -> None:
        self.sent: dict[Key, float] = {}
        self.scored: dict[Key, float] = {}
        self._selection = Selection(configuration.models)
        with gzip.open(CAPTURE, "rb") as capture:
            self._edits = [edit for edit in map(orjson.loads, capture) if self._selection.endpoints(edit)]
        self._number = 0
        self._inputs = [f"{datacenter}.mediawiki.revision-create" for datacenter in configuration.datacenters]
        outputs = [f"{datacenter}.{model.stream}" for datacenter in configuration.datacenters for model in configuration.models.values()]
        kafka.create_topics(*self._inputs, *outputs)
        self._producer = Producer({"bootstrap.servers": kafka.address, "linger.ms": 1, "log_level": 0})
        self._consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": "count", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10})
        self._consumer.subscribe(outputs)

    def send(self, rate: float, seconds: float) -> None:
        began, calls = time.time(), 0
        while (now := time.time() - began) < seconds:
            if calls > now * rate:
                time.sleep(0.001)
            else:
                calls += self._send_one()
        self._producer.flush()

    def send_until_scored(self) -> None:
        self._send_one()
        self._producer.flush()
        self.wait_until_all_scored()

    def wait_until_all_scored(self) -> None:
        deadline = time.monotonic() + 60
        while len(self.scored) < len(self.sent) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _send_one(self) -> int:
        edit: dict[str, Any] = dict(self._edits[self._number % len(self._edits)])
        edit["rev_id"] += 3_000_000_000 * (1 + self._number // len(self._edits))
        endpoints, now = self._selection.endpoints(edit), time.time()
        for endpoint in endpoints:
            self.sent[endpoint.model, endpoint.wiki, edit["rev_id"]] = now
        self._producer.produce(self._inputs[self._number % len(self._inputs)], orjson.dumps(edit))
        self._producer.poll(0)
        self._number += 1
        return len(endpoints)

    @contextmanager
    def counting(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._count, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self._consumer.close()

    def _count(self, stop: threading.Event) -> None:
        while not stop.is_set():
            for message in self._consumer.consume(1000, 0.02):
                if not message.error():
                    event, now = orjson.loads(message.value()), time.time()
                    for model in event["scores"]:
                        self.scored.setdefault((model, event["database"], event["rev_id"]), now)


if __name__ == "__main__":
    main()
