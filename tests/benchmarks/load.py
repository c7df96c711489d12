"""Sends edits into the input topics of a broker and counts what comes out, each in a thread of its own; both
do as little as they can."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from pipeline.config.topics import failure_topics, input_topics
from tests.benchmarks.edits import Edits
from tests.benchmarks.ledger import Ledger
from transforms.models.model import Configuration

# a broker that is away is waited for
_SAFE = {"enable.idempotence": True, "linger.ms": 1, "message.timeout.ms": 0, "log_level": 0}
PATIENCE_S = 120
DRAIN_S = 30  # the longest call takes 15


class Load:
    """Needs the topics to be there. Times are those of this process: as an event leaves, and as a score is
    read."""

    def __init__(self, address: str, configuration: Configuration, edits: Edits) -> None:
        self.ledger = Ledger(edits)
        self._address = address
        self._edits = edits
        self._inputs = input_topics(configuration, None)
        self._models = {
            f"{datacenter}.{model.stream}": model.name
            for datacenter in configuration.datacenters
            for model in configuration.models.values()
        }
        self._failures = failure_topics(configuration, None)
        self._producer = Producer({"bootstrap.servers": address, **_SAFE})
        self.failure_reasons: Counter[str] = Counter()  # without their numbers

    def send(self, rate: float, until: Callable[[], bool]) -> None:
        """So many calls a second, until it is true; then all that was sent is with the broker."""
        began, calls = time.monotonic(), 0
        while not until():
            if (early := calls / rate - (time.monotonic() - began)) > 0:
                time.sleep(min(early, 0.01))
            else:
                calls += self.send_one()
        self._producer.flush(PATIENCE_S)

    def send_for(self, rate: float, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.send(rate, lambda: time.monotonic() >= end)

    def send_one(self) -> int:
        """Sends the next event; gives how many requests it makes."""
        event, before = self.ledger.events, self.ledger.requests
        self.ledger.send(time.time())
        while True:
            try:
                self._producer.produce(
                    self._inputs[event % len(self._inputs)],
                    self._edits.message(event, self.ledger.sent[event]),
                )
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)
        return self.ledger.requests - before

    def pile_up(self, others: Collection[str], ahead: int, is_enough: Callable[[], bool]) -> None:
        """Sends as fast as the other models keep up, with fewer than `ahead` open requests of theirs; returns
        when they have none."""
        while not is_enough():
            if self.ledger.open_of(others) < ahead:
                self.send_one()
            else:
                time.sleep(0.001)
        self.wait(lambda: self.ledger.open_of(others) == 0)

    def send_again(self, event: int) -> None:
        """Sends an event that was sent before, with all that it said."""
        self._producer.produce(
            self._inputs[event % len(self._inputs)], self._edits.message(event, self.ledger.sent[event])
        )
        self._producer.flush(PATIENCE_S)

    def send_until_scored(self) -> None:
        """One event, until a score comes: then the system is up. Raises RuntimeError when none does."""
        done = self.ledger.done
        self.send_one()
        self._producer.flush(PATIENCE_S)
        if not self.wait(lambda: self.ledger.done > done):
            raise RuntimeError(f"no score came in {PATIENCE_S} s")

    def wait(self, fact: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
        """Until it is true, or nothing new has come for `patience_s`; gives whether it is true."""
        last, deadline = -1, 0.0
        while not fact():
            if self.ledger.done != last:
                last, deadline = self.ledger.done, time.monotonic() + patience_s
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def wait_for_all(self, patience_s: float = PATIENCE_S) -> bool:
        return self.wait(lambda: self.ledger.done >= self.ledger.requests, patience_s)

    def drain(self) -> None:
        """Waits for what is open, but not for all that a system which falls behind has piled up."""
        deadline = time.monotonic() + DRAIN_S
        self.wait(lambda: self.ledger.done >= self.ledger.requests or time.monotonic() > deadline)

    def sending(self, rate: float) -> AbstractContextManager[None]:
        """Sends in a thread of its own for as long as the context is open."""
        return _in_thread(partial(self.send, rate))

    def counting(self) -> AbstractContextManager[None]:
        """Counts in a thread of its own for as long as the context is open."""
        return _in_thread(self._count)

    def _count(self, until: Callable[[], bool]) -> None:
        settings = {
            "group.id": "benchmark",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
        consumer = Consumer({"bootstrap.servers": self._address, **settings})
        consumer.subscribe([*self._models, *self._failures])
        while not until():
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                self._note(message, time.time())
        consumer.close()

    def look_again(self, model: str) -> None:
        """Reads the topics of a model once more from their beginnings, for scores that were not counted:
        whoever reads a topic that is deleted and made anew goes on where the old one ended."""
        settings = {
            "bootstrap.servers": self._address,
            "group.id": "benchmark again",
            "enable.auto.commit": False,
            "log_level": 0,
        }
        consumer = Consumer(settings)
        for topic in [topic for topic, name in self._models.items() if name == model]:
            place = TopicPartition(topic, 0, OFFSET_BEGINNING)
            _, end = consumer.get_watermark_offsets(place, timeout=10)
            consumer.assign([place])
            at = 0
            while at < end and (message := consumer.poll(10)) is not None and not message.error():
                at = (message.offset() or 0) + 1
                event = orjson.loads(message.value() or b"")
                if not self.ledger.is_scored(model, event["database"], event["rev_id"]):
                    self._note(message, time.time())
        consumer.close()

    def _note(self, message: Message, now: float) -> None:
        event = orjson.loads(message.value() or b"")
        model = self._models.get(message.topic() or "")
        if model is not None:
            self.ledger.score(model, event["database"], event["rev_id"], event["meta"]["id"], now)
            return
        original = orjson.loads(event["raw_event"])
        self.ledger.fail(event["error_type"].partition("/")[2], original["database"], original["rev_id"])
        self.failure_reasons[re.sub(r"\d+", "N", event["message"])] += 1


@contextmanager
def _in_thread(work: Callable[[Callable[[], bool]], None]) -> Iterator[None]:
    """Runs `work`, which ends when what it is given is true: when the context is left."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop.is_set,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
