"""Where the reading of a topic begins and goes on, whatever happened to the topic meanwhile: against a real
broker."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from runners.local_kafka import LocalKafka
from tests.support.kafka import PATIENCE_S, Topic
from tests.support.state import Bag, Timer
from transforms.connectors.kafka_offsets import Partition, Place
from transforms.connectors.kafka_source import KafkaTopics, ReadFn
from transforms.connectors.partition_reader import PartitionReader, wait_for_any


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


pytestmark = pytest.mark.kafka

HOUR_MS = 3_600_000


def read(reader: PartitionReader, count: int) -> list[int]:
    values: list[int] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(values) < count and time.monotonic() < deadline:
        wait_for_any([reader], 0.1)
        values += [int(message.value() or b"") for message in reader.take()]
    return values


def test_a_reader_goes_on_where_it_is_told_and_tells_where_it_is(kafka: LocalKafka) -> None:
    topic = Topic(kafka)
    topic.send(range(250), timestamp_ms=HOUR_MS)
    reader = topic.reader(topic.place(10))
    assert read(reader, 240) == list(range(10, 250))
    assert reader.place == topic.place(250, HOUR_MS)
    assert Place.decode(reader.place.encode()) == reader.place
    reader.close()
    again = topic.reader(topic.place())
    assert read(again, 250) == list(range(250))
    again.close()


def reading(kafka: LocalKafka, *topics: Topic) -> tuple[ReadFn, dict[str, tuple[Bag, Timer]]]:
    """A DoFn that was told the first partition of each topic, and the state and timer of each."""
    fn = ReadFn(KafkaTopics([topic.name for topic in topics], kafka.address, "readers", "earliest"))
    keys = {str(topic.first): (Bag(), Timer()) for topic in topics}
    fn.setup()
    for topic, (place, poll) in zip(topics, keys.values(), strict=True):
        list(fn.process((str(topic.first), topic.place().encode()), place, poll))
    return fn, keys


def test_a_bundle_waits_once_for_all_its_partitions(kafka: LocalKafka) -> None:
    """What it has read goes on when it ends."""
    fn, keys = reading(kafka, Topic(kafka), Topic(kafka))
    for _ in range(2):  # the first has to connect
        waited_s = []
        fn.start_bundle()
        for key, (place, poll) in keys.items():
            began = time.monotonic()
            assert list(fn.poll(key, poll.tag, place, poll)) == []
            waited_s.append(time.monotonic() - began)
    assert waited_s[1] < waited_s[0] / 2
    fn.teardown()


def test_polls_are_apart_and_together_and_the_state_keeps_few_places(kafka: LocalKafka) -> None:
    """A bundle costs milliseconds, to clear the state a round trip; the last place in it is what counts."""
    topics = [Topic(kafka), Topic(kafka)]
    fn, keys = reading(kafka, *topics)
    most, together, got = 0, 0, [0, 0]
    for number in range(150):
        for topic in topics:
            topic.send([number])
        began = time.time()
        fn.start_bundle()
        for index, (key, (place, poll)) in enumerate(keys.items()):
            got[index] += len(list(fn.poll(key, poll.tag, place, poll)))
            most = max(most, len(place.items))
        first, second = (poll.at for _, poll in keys.values())
        assert min(first, second) >= began + 0.039  # microseconds of the timer
        together += first == second
    assert together, "one bundle then reads both"
    assert most == 64
    last = [Place.last_of(place.read()) for place, _ in keys.values()]
    assert [place.offset if place else None for place in last] == got
    fn.teardown()


def test_of_what_kafka_has_removed_the_number_is_told_and_the_rest_is_read(
    kafka: LocalKafka, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic(kafka)
    topic.send(range(20))
    topic.expire(8)
    reader = topic.reader(topic.place(5))
    assert read(reader, 12) == list(range(8, 20))
    assert reader.lost == 3
    said = (
        f"{topic.first}: 3 messages were gone before they were read (5 to 7); going on at the oldest "
        "that is left"
    )
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [said]
    reader.close()


def test_a_log_that_ends_before_the_place_is_read_from_what_is_younger_than_the_last_message(
    kafka: LocalKafka,
) -> None:
    """A broker that lost the end of a log takes other messages at those offsets."""
    topic = Topic(kafka)
    topic.send(range(3), timestamp_ms=HOUR_MS)
    topic.send(range(3, 6), timestamp_ms=2 * HOUR_MS)
    reader = topic.reader(topic.place(100, HOUR_MS))
    assert read(reader, 3) == [3, 4, 5]
    assert reader.lost == 0
    reader.close()


def test_a_topic_made_anew_is_another(kafka: LocalKafka) -> None:
    topic = Topic(kafka)
    before = topic.place(3)
    topic.delete()
    assert topic.places().oldest([topic.name]) == {}
    kafka.create_topics(topic.name)
    assert before.is_in_another_topic(topic.place())
    assert not before.is_in_another_topic(replace(before, offset=5))
    assert not before.is_in_another_topic(replace(before, topic_id="AAAAAAAAAAAAAAAAAAAAAA")), (
        "an old broker tells none"
    )
    assert before.is_in_another_topic(replace(before, cluster_id="another"))


def test_a_group_begins_where_it_stopped_and_reads_what_is_new_to_it_from_the_oldest_message(
    kafka: LocalKafka,
) -> None:
    topic = Topic(kafka, partitions=2)
    topic.send(range(4))
    topic.send(range(3), number=1)
    places, second = topic.places("stopped"), Partition(topic.name, 1)
    oldest = places.oldest([topic.name, "eqiad.none"])
    places.commit({topic.first: topic.place(2)})
    assert offsets(places.starting(oldest, "latest")) == {topic.first: 2, second: None}
    assert offsets(places.starting(oldest, "earliest")) == {topic.first: 2, second: None}


def test_a_group_without_a_place_begins_where_it_is_told(kafka: LocalKafka) -> None:
    topic = Topic(kafka, partitions=2)
    topic.send([1, 2], timestamp_ms=HOUR_MS)
    topic.send([3, 4], timestamp_ms=3 * HOUR_MS)
    places, second = topic.places("new"), Partition(topic.name, 1)
    oldest = places.oldest([topic.name])
    for start, offset, of_empty in [
        ("earliest", None, None),
        ("latest", 4, 0),
        (2 * HOUR_MS, 2, 0),
        (4 * HOUR_MS, 4, 0),
    ]:
        assert offsets(places.starting(oldest, start)) == {topic.first: offset, second: of_empty}


def offsets(places: dict[Partition, Place]) -> dict[Partition, int | None]:
    return {partition: place.offset for partition, place in places.items()}


def test_the_state_of_a_later_version_is_refused() -> None:
    with pytest.raises(
        ValueError, match="expected a place of format 1 in the state, got 2; go on with the version"
    ):
        Place.decode(b'[2,"a","b",1,0,"new"]')


def test_a_broker_that_is_away_is_waited_for(kafka: LocalKafka) -> None:
    topic = Topic(kafka)
    topic.send(range(3))
    reader = topic.reader(topic.place(0))
    assert read(reader, 3) == [0, 1, 2]
    kafka.kill()
    assert reader.take() == []
    kafka.start()
    kafka.wait()
    topic.send(range(3, 6))
    assert read(reader, 3) == [3, 4, 5]
    reader.close()
