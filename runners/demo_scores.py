"""The scores of the demo by both ways, as they are compared: those of the stream as they come, with how long
each took, and those of a file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer

from runners.played_edits import Key, PlayedEdits
from runners.programs import Program
from transforms.datasets.event_files import find_files, read_file

PATIENCE_S = 60


class StreamedScores:
    """What came out of the stream: each score as it is compared, and how long it took."""

    def __init__(self, kafka: str, topics: list[str], failure_stream: str, edits: PlayedEdits) -> None:
        self.edits = edits
        self.bodies: dict[Key, bytes] = {}
        self.seconds: dict[str, list[float]] = {model: [] for model in edits.by_model}
        self.scores: Counter[str] = Counter()  # each once
        self.repeated = 0
        self.failures: Counter[str] = Counter()
        self._failure_stream = failure_stream
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": "demo",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "log_level": 0,
            }
        )
        self._consumer.subscribe(topics)

    @property
    def count(self) -> int:
        return self.scores.total() + self.failures.total()

    def wait(self, count: int) -> None:
        """Returns when so many have come. Raises TimeoutError when they do not within a minute."""
        deadline = time.monotonic() + PATIENCE_S
        while self.count < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no score within {PATIENCE_S} s of the first edit")
            self.poll()

    def forget_times(self) -> None:
        for seconds in self.seconds.values():
            seconds.clear()

    def poll(self) -> None:
        """Takes what has come, for half a second."""
        until = time.monotonic() + 0.5
        while (left := until - time.monotonic()) > 0:
            for message in self._consumer.consume(500, min(left, 0.05)):
                if not message.error():
                    self._take(orjson.loads(message.value()), time.time())

    def close(self) -> None:
        self._consumer.close()

    def _take(self, event: dict[str, Any], now: float) -> None:
        if event["meta"]["stream"] == self._failure_stream:
            self.failures[event["error_type"].rpartition("/")[2]] += 1
            return
        for key, body in comparable(event):
            if self.bodies.get(key) == body:
                self.repeated += 1
                continue
            self.bodies[key] = body
            self.scores[key[0]] += 1
            self.seconds[key[0]].append(now - self.edits.sent[key])


def regenerated(events: Path, output: Path, lift_wing: str) -> dict[Key, bytes]:
    """Scores a file of events by `regenerate`, and prints what that says. Returns the scores. Raises
    RuntimeError when it fails."""
    options = ["--input", str(events), "--output", str(output), "--lift-wing", lift_wing]
    with Program("pipeline", "regenerate", *options) as program:
        code = program.process.wait()
        program.wait_for("")
    print("".join(program.lines), end="")
    if code:
        raise RuntimeError(f"regenerate ended with {code}")
    return {
        key: body
        for file in find_files(str(output), "").files
        for raw in read_file(file)
        for key, body in comparable(dict(raw.data))  # type: ignore[arg-type]
    }


def comparable(event: dict[str, Any]) -> Iterator[tuple[Key, bytes]]:
    """Yields the score of an event, and all of the event but when it was written."""
    body = {**event, "meta": {name: value for name, value in event["meta"].items() if name != "dt"}}
    for model in event["scores"]:
        yield (model, event["database"], event["rev_id"]), orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
