"""Fuzzed messages in a running stream, with a real Kafka and a real Flink; `FUZZED=20000 pytest
tests/system/test_fuzzed_stream.py` takes so many."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, Producer

from pipeline.config.models_file import load
from runners.local_kafka import LocalKafka
from runners.programs import Program
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.benchmarks.stage import restarts_of
from tests.fuzz.events import Fuzzer
from tests.support.events import ROOT
from transforms.elements import SourceRecord
from transforms.events.error_events import origin_of
from transforms.events.parsing import NotAnEventError, event_in, parse, why_dropped
from transforms.events.score_events import score_id
from transforms.models.model import Configuration
from transforms.models.selection import Selection

pytestmark = [
    pytest.mark.flink,
    pytest.mark.skipif("FUZZED" not in os.environ, reason="`make fuzz` asks for it"),
]

MESSAGES = int(os.environ.get("FUZZED", "0"))
PATIENCE_S = 60 + MESSAGES / 10
INPUT = "eqiad.fuzzed.events"
Ended = Counter[tuple[str, str]]  # model or step, and the id of its score or the text of its failure


def models_file(folder: Path) -> Path:
    """The shipped models of both kinds of events."""
    created, changed = (
        (ROOT / "pipeline" / name).read_text(encoding="utf-8")
        for name in ("models.yaml", "page_change_models.yaml")
    )
    file = folder / "models.yaml"
    file.write_text(created + changed.partition("\nmodels:\n")[2], encoding="utf-8")
    return file


def wanted(messages: Sequence[bytes], configuration: Configuration) -> Ended:
    """How each should end: a failure, or one end for each model that it asks for."""
    selection, ended = Selection(configuration.models), Ended()
    for message in messages:
        try:
            raw = event_in(SourceRecord(message, "eqiad"))
        except NotAnEventError:
            ended["ReadEvents", message.decode("utf-8", "replace")] += 1
            continue
        if not why_dropped(raw):
            ended.update(
                (endpoint.model, score_id(raw, configuration.models[endpoint.model].stream))
                for endpoint in selection.endpoints(raw)
            )
    return ended


def found_in(value: bytes, configuration: Configuration) -> tuple[str, str]:
    event = orjson.loads(value)
    if "error_type" not in event:
        stream = event["meta"]["stream"]
        return next(model.name for model in configuration.models.values() if model.stream == stream), event[
            "meta"
        ]["id"]
    step, model = origin_of(event)
    assert "unforeseen" not in event["message"], event
    return (
        (model, score_id(parse(event["raw_event"]), configuration.models[model].stream))
        if model
        else (step, event["raw_event"])
    )


def test_each_message_ends_once_in_a_stream_that_never_restarts(tmp_path: Path) -> None:
    configuration = load(file := models_file(tmp_path))
    messages = list(Fuzzer(int(os.environ.get("FUZZED_SEED", "3"))).messages(MESSAGES))
    expected, ended = wanted(messages, configuration), Ended()
    outputs = [
        f"{datacenter}.{stream}"
        for datacenter in ("eqiad", "codfw")
        for stream in {*(m.stream for m in configuration.models.values()), configuration.failure_stream}
    ]
    with LocalKafka(tmp_path / "kafka") as kafka, SimulatedLiftWing(latency=0.005) as lift_wing:
        kafka.create_topics(INPUT, *outputs)
        producer = Producer({"bootstrap.servers": kafka.address, "log_level": 0})
        for message in messages:
            producer.produce(INPUT, message)
            producer.poll(0)
        producer.flush()
        where = [
            "--kafka",
            kafka.address,
            "--lift-wing",
            lift_wing.url,
            "--models",
            str(file),
            "--state",
            str(tmp_path / "state"),
        ]
        with Program("pipeline", "stream", *where, "--input-topics", INPUT, "--from", "earliest") as program:
            flink = re.search(r"Flink at (\S+),", program.wait_for("^reading").string)
            assert flink
            read(kafka, outputs, ended, set(expected), configuration)
            assert restarts_of(flink[1]) == 0
            program.stop(signal.SIGTERM)
    assert ended - expected == Ended(), "more often than it came"
    assert set(expected) == set(ended), "a message that comes again while the first is asked for ends with it"


def read(
    kafka: LocalKafka,
    topics: Sequence[str],
    ended: Ended,
    wanted: set[tuple[str, str]],
    configuration: Configuration,
) -> None:
    """Until all have come, and some moments more for what should not."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.address,
            "group.id": "ledger",
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    consumer.subscribe(list(topics))
    deadline = time.monotonic() + PATIENCE_S
    while not ended.keys() >= wanted:
        assert time.monotonic() < deadline, f"{len(ended)} of {len(wanted)} ended"
        ended.update(
            found_in(message.value(), configuration)
            for message in consumer.consume(500, 0.5)
            if not message.error()
        )
    while late := consumer.consume(500, 5.0):
        ended.update(found_in(message.value(), configuration) for message in late if not message.error())
    consumer.close()
