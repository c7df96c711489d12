"""What a sink of a stream does when one topic takes nothing, in each way that real brokers know: it leaves,
and the others are written once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import orjson
import pytest

from runners.local_kafka import LocalKafka
from tests.benchmarks.stream_faults import BROKER_SETTINGS, OF_KAFKA, KafkaFaults
from tests.support.events import edit, request
from transforms.connectors.kafka_sink import WriteToKafka
from transforms.connectors.offset_ranges import messages, offset_ranges
from transforms.delivery.redelivery import Redelivery
from transforms.delivery.undelivered_codec import decode_events
from transforms.delivery.write_streams import WriteFn, streams_of
from transforms.elements import OutputEvent
from transforms.worker.environment import Environment

pytestmark = pytest.mark.kafka

NOW = "2024-02-15T00:00:00.000000Z"
ERRORS = "mediawiki.revision-score.error"
PATIENCE_S = 30


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    folder = tmp_path_factory.mktemp("cluster")
    with LocalKafka(folder / "kafka", more_settings=BROKER_SETTINGS) as broker:
        broker.create_topics(
            f"eqiad.{ERRORS}", *(f"eqiad.{state}-{fault}" for fault in OF_KAFKA for state in ("well", "ill"))
        )
        yield broker


def event(number: int, stream: str, padding: int = 0) -> OutputEvent:
    body = {"number": number, "padding": "x" * padding, "meta": {"id": f"id-{number}", "dt": NOW}}
    return OutputEvent(stream, body, "eqiad", request=request(raw=edit(rev_id=number)))


def clock() -> float:
    """Seconds that last three: a broker of a busy machine may take more than one for what it does at once in
    any other place."""
    return time.monotonic() / 3


class Sink:
    """The sink as a worker process has it."""

    def __init__(self, kafka: LocalKafka) -> None:
        writing = WriteToKafka(
            kafka.address,
            ERRORS,
            clock=lambda: NOW,
            waits_in_state=True,
            environment=Environment(monotonic=clock),
        ).writing
        self._write = WriteFn(writing, waits_in_bundle=False)
        self._write.setup()
        self._redelivery = Redelivery(streams_of(writing), ERRORS, lambda: NOW)

    def left_of(self, *events: OutputEvent) -> list[OutputEvent]:
        """What a bundle of these does not get rid of."""
        self._write.start_bundle()
        for each in events:
            self._write.process(each)
        return [each for value in self._write.finish_bundle() for each in decode_events(value.value[1])]

    def deliver(self, left: list[OutputEvent]) -> None:
        end = clock() + PATIENCE_S
        while left and clock() < end:
            attempt = self._redelivery.begin(left)
            while not self._redelivery.wait_for(attempt, 0.1):
                pass
            left = self._redelivery.end(attempt).left_of(left)
            time.sleep(0.05)
        assert not left


def numbers(kafka: LocalKafka, topic: str) -> Counter[int]:
    settings = {"bootstrap.servers": kafka.address}
    return Counter(
        orjson.loads(message.value())["number"]
        for message in messages(settings, offset_ranges(settings, [topic]))
    )


@pytest.mark.parametrize("fault", OF_KAFKA)
def test_a_topic_that_takes_nothing_leaves_the_sink_and_gets_its_events_afterwards(
    kafka: LocalKafka, fault: str
) -> None:
    well, ill = f"well-{fault}", f"ill-{fault}"
    sink, faults = Sink(kafka), KafkaFaults(kafka, f"eqiad.{ill}")
    with faults.prepared(fault):
        sink.deliver(sink.left_of(event(0, well), event(0, ill)))
        with getattr(faults, fault)():
            began, left = (
                clock(),
                sink.left_of(*(event(number, stream) for number in range(1, 11) for stream in (well, ill))),
            )
            assert clock() - began < 2.5
            assert {each.stream for each in left} == {ill}
            began = clock()
            left += sink.left_of(
                *(event(number, stream) for number in range(11, 21) for stream in (well, ill))
            )
            assert clock() - began < 1, "a topic that is known to be ill is not waited for again"
            assert len(left) == 20
        sink.deliver(left)
        expected = range(1, 21) if fault == "deleted" else range(21)
        assert set(numbers(kafka, f"eqiad.{ill}")) == set(expected)
        assert numbers(kafka, f"eqiad.{well}") == dict.fromkeys(range(21), 1)
