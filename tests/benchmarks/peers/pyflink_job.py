"""A PyFlink job in the manner of wikimedia/mediawiki-event-enrichment: a keyed `process` that collects a
batch of events and has a pool of threads with `requests` work on it.

It waits for the whole batch, as there; with --free it waits for nothing and a timer brings home what is done,
and then open calls are in no state and lost in a crash.
"""

from __future__ import annotations

import argparse
import queue
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import requests
from by_hand import Call, Rules, score_event
from pyflink.common import Configuration, SimpleStringSchema, Types, WatermarkStrategy
from pyflink.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
    KafkaTopicSelector,
)
from pyflink.datastream.state import ListStateDescriptor

BATCH, BATCH_MS, LOOK_MS = 12, 1_000, 50
KEYS = 4


class Ask:
    """The threads and their sessions."""

    def __init__(self, arguments: argparse.Namespace, in_flight: int) -> None:
        self.lift_wing, self.rules = arguments.lift_wing, Rules(arguments.rules)
        self.session = requests.Session()
        self.session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=in_flight, pool_block=True))
        self.pool = ThreadPoolExecutor(in_flight)

    def score(self, event: dict[str, Any], call: Call) -> str:
        model, host, path = call
        for _ in range(3):
            answer = self.session.post(
                self.lift_wing + path, json={"rev_id": event["rev_id"]}, headers={"Host": host}, timeout=30
            )
            if answer.status_code == 200:
                return orjson.dumps(score_event(event, model, answer.content)).decode()
        return ""

    def all_scores(self, event: dict[str, Any]) -> list[str]:
        return [self.score(event, call) for call in self.rules.calls(event)]


class InBatches(KeyedProcessFunction):
    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

    def open(self, context: RuntimeContext) -> None:
        self._ask = Ask(self._arguments, BATCH)
        self._held = context.get_list_state(ListStateDescriptor("held", Types.STRING()))

    def process_element(self, value: str, context: KeyedProcessFunction.Context) -> Any:
        held = [*self._held.get(), value]
        if len(held) < BATCH:
            self._held.add(value)
            timers = context.timer_service()
            timers.register_processing_time_timer(timers.current_processing_time() + BATCH_MS)
        else:
            yield from self._work(held)

    def on_timer(self, timestamp: int, context: KeyedProcessFunction.OnTimerContext) -> Any:
        yield from self._work(list(self._held.get()))

    def _work(self, held: list[str]) -> Any:
        self._held.clear()
        for scores in self._ask.pool.map(self._ask.all_scores, map(orjson.loads, held)):
            yield from filter(None, scores)


class Free(KeyedProcessFunction):
    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

    def open(self, context: RuntimeContext) -> None:
        self._ask = Ask(self._arguments, self._arguments.in_flight)
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()

    def process_element(self, value: str, context: KeyedProcessFunction.Context) -> Any:
        event = orjson.loads(value)
        for call in self._ask.rules.calls(event):
            self._ask.pool.submit(self._put, event, call)
        yield from self._take()
        timers = context.timer_service()
        timers.register_processing_time_timer((timers.current_processing_time() // LOOK_MS + 1) * LOOK_MS)

    def on_timer(self, timestamp: int, context: KeyedProcessFunction.OnTimerContext) -> Any:
        yield from self._take()
        context.timer_service().register_processing_time_timer(timestamp + LOOK_MS)

    def _put(self, event: dict[str, Any], call: Call) -> None:
        self._done.put(self._ask.score(event, call))

    def _take(self) -> Any:
        while not self._done.empty():
            yield self._done.get()


def source(arguments: argparse.Namespace, topics: list[str]) -> KafkaSource:
    return (
        KafkaSource.builder()
        .set_bootstrap_servers(arguments.kafka)
        .set_topics(*topics)
        .set_group_id("pyflink")
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_value_only_deserializer(SimpleStringSchema())
        .build()
    )


class OfModel(KafkaTopicSelector):
    """The topic of a score: its stream, under the prefix of the source."""

    def __init__(self, datacenter: str) -> None:
        self._datacenter = datacenter

    def apply(self, data: str) -> str:
        stream = data.partition('"stream":"')[2].partition('"')[0]
        return f"{self._datacenter}.{stream}"


def sink(arguments: argparse.Namespace, datacenter: str) -> KafkaSink:
    schema = (
        KafkaRecordSerializationSchema.builder()
        .set_topic_selector(OfModel(datacenter))
        .set_value_serialization_schema(SimpleStringSchema())
        .build()
    )
    builder = KafkaSink.builder().set_bootstrap_servers(arguments.kafka).set_record_serializer(schema)
    return (
        builder.set_property("linger.ms", "1").set_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE).build()
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    for option in ("--kafka", "--lift-wing", "--rules", "--topics", "--connector"):
        parser.add_argument(option, required=True)
    parser.add_argument("--free", action="store_true")
    parser.add_argument("--in-flight", type=int, default=BATCH)
    arguments = parser.parse_args()
    settings = Configuration()
    settings.set_string("pipeline.jars", f"file://{arguments.connector}")
    settings.set_string("python.fn-execution.bundle.time", "20")
    settings.set_string("python.fn-execution.bundle.size", "50")
    settings.set_string("execution.buffer-timeout.interval", "5 ms")
    environment = StreamExecutionEnvironment.get_execution_environment(settings)
    environment.set_parallelism(1)
    environment.enable_checkpointing(5_000)
    # each datacenter on its own: a score goes out under the prefix of its event
    for topic in arguments.topics.split(","):
        events = environment.from_source(source(arguments, [topic]), WatermarkStrategy.no_watermarks(), topic)
        keyed = events.key_by(lambda value: str(zlib.crc32(value.encode()) % KEYS), Types.STRING())
        scores = keyed.process(Free(arguments) if arguments.free else InBatches(arguments), Types.STRING())
        scores.sink_to(sink(arguments, topic.partition(".")[0]))
    print("reading", flush=True)
    environment.execute("peer")


if __name__ == "__main__":
    main()
