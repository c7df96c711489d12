"""A stream on a real Flink, and what comes of it."""

from __future__ import annotations

import gzip
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Message, Producer

from runners.local_kafka import LocalKafka
from runners.played_edits import CAPTURE
from runners.programs import Program
from runners.simulated_lift_wing.server import SimulatedLiftWing
from transforms.models.model import Configuration
from transforms.models.selection import Selection

PATIENCE_S = 90
FAILURES = "mediawiki.revision-score.error"


class Topics:
    """The revision-create topics of one test, made for it alone, and what comes out of the stream that reads
    them."""

    def __init__(self, kafka: LocalKafka, name: str, configuration: Configuration) -> None:
        self.inputs = [f"{datacenter}.{name}.revision-create" for datacenter in configuration.datacenters]
        kafka.create_topics(*self.inputs)
        broker = {"bootstrap.servers": kafka.address, "log_level": 0}
        self._producer = Producer({**broker, "message.max.bytes": 6_000_000})
        self._consumer = Consumer(
            {
                **broker,
                "group.id": f"reader of {name}",
                "auto.offset.reset": "earliest",
                "topic.metadata.refresh.interval.ms": 500,
            }
        )
        self._consumer.subscribe([r"^(eqiad|codfw)\.mediawiki\.revision-score.*"])
        self.messages: list[Message] = []

    def send(self, lines: Sequence[bytes | None], topic: str) -> None:
        refused: list[str] = []
        for line in lines:
            self._producer.produce(
                topic, line, on_delivery=lambda error, _: refused.append(str(error)) if error else None
            )
        self._producer.flush()
        assert refused == []

    def wait_for(self, enough: Callable[[Topics], bool]) -> None:
        """Reads until `enough(self)`."""
        deadline = time.monotonic() + PATIENCE_S
        while not enough(self):
            assert time.monotonic() < deadline, (
                f"only {Counter(message.topic() for message in self.messages)}"
            )
            self.messages.extend(
                message for message in self._consumer.consume(500, 0.2) if not message.error()
            )

    def close(self) -> None:
        self._consumer.close()

    def of_model(self, model: str) -> list[dict[str, Any]]:
        return [
            orjson.loads(message.value())
            for message in self.messages
            if message.topic().endswith(f"revision-score-{model}")
        ]

    def scored(self) -> Counter[tuple[str, str, str, int]]:
        """How often each (datacenter, model, wiki, revision) came."""
        counts: Counter[tuple[str, str, str, int]] = Counter()
        for message in self.messages:
            event = orjson.loads(message.value())
            for model in event.get("scores", ()):
                assert (
                    message.topic() == f"{message.topic().partition('.')[0]}.mediawiki.revision-score-{model}"
                )
                counts[message.topic().partition(".")[0], model, event["database"], event["rev_id"]] += 1
        return counts

    def ids(self) -> set[str]:
        return {orjson.loads(message.value())["meta"]["id"] for message in self.messages}

    def failures(self) -> list[dict[str, Any]]:
        return [
            orjson.loads(message.value()) for message in self.messages if message.topic().endswith(FAILURES)
        ]


def stream(
    kafka: LocalKafka, lift_wing: SimulatedLiftWing, topics: Topics, state: Path, *options: str
) -> Program:
    where = ["--input-topics", ",".join(topics.inputs), "--from", "earliest", "--state", str(state)]
    return Program(
        "pipeline", "stream", "--kafka", kafka.address, "--lift-wing", lift_wing.url, *where, *options
    )


def edits(first: int, last: int) -> list[bytes]:
    with gzip.open(CAPTURE, "rb") as capture:
        return [line.rstrip() for line in capture][first:last]


def wanted(
    lines: list[bytes], datacenter: str, configuration: Configuration
) -> set[tuple[str, str, str, int]]:
    selection = Selection(configuration.models)
    events = [orjson.loads(line) for line in lines]
    return {
        (datacenter, endpoint.model, endpoint.wiki, event["rev_id"])
        for event in events
        for endpoint in selection.endpoints(event)
    }


def java_children(state: Path) -> list[str]:
    """The Java processes that keep their logs in `state`."""
    commands = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            commands.append(process.read_bytes().replace(b"\0", b" ").decode())
    return [command for command in commands if str(state) in command]


def models_file(file: Path, models: str) -> Path:
    head = (
        'lift_wing: {url: "http://127.0.0.1:1"}\nstreams: {score: "mediawiki.revision-score-{model}", '
        "failure: mediawiki.revision-score.error}\nmodels:\n"
    )
    file.write_text(head + models, encoding="utf-8")
    return file


def mine(topics: Topics, revisions: set[int]) -> Counter[tuple[str, str, str, int]]:
    """What came of these revisions: the topics of scores are those of every test."""
    return Counter({key: count for key, count in topics.scored().items() if key[3] in revisions})


def wait_for_checkpoint(state: Path) -> None:
    """Returns when a checkpoint is complete that began after now."""
    began = time.time()
    wait_until(
        lambda: any(file.stat().st_mtime > began for file in state.glob("*/checkpoints/*/chk-*/_metadata"))
    )


def wait_until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.1)
