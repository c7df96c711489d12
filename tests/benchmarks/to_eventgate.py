"""A stream with EventGate behind it, which fails now and then in every way it can: whether it has each event
once, and each is valid.

    python -m tests.benchmarks.to_eventgate [--events 20000] [--rate 400]

With the legacy event of all models, how long after the last score of its revision it is made, and whether
`regenerate` and `combine` make the same of the same events.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.dataset as pads
from confluent_kafka import Producer

import schemas
from pipeline.config.models_file import load
from pipeline.config.topics import input_topics
from runners.local_kafka import LocalKafka
from runners.programs import Program, SimulatedLiftWingProgram, run
from tests.benchmarks.edits import FIRST_REVISION, Edits
from tests.benchmarks.measuring import table
from tests.benchmarks.nine_models import write_nine_models
from tests.benchmarks.stage import quantiles
from tests.support.eventgate import EventGateServer
from transforms.events.combined_events import STREAM

_FAULTS = ("some", "cut", "lost", "broker", "gone", "empty")
_GOOD_BETWEEN, _HANGS = 40, 2
_PATIENCE_S = 300


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=400.0, help="calls a second (default: 400)")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-eventgate-") as name,
        SimulatedLiftWingProgram("--latency", "lognormal:0.2:2") as lift_wing,
    ):
        folder = Path(name)
        models = write_nine_models(folder / "models.yaml", lift_wing.url)
        configuration = load(models)
        edits = Edits(configuration)
        expected = {
            (model, FIRST_REVISION + event)
            for event in range(arguments.events)
            for _, model in edits.requests_of(event)
        }
        streams = [
            STREAM,
            configuration.failure_stream,
            *(model.stream for model in configuration.models.values()),
        ]
        faults: list[str | None] = ["hang"] * _HANGS
        for fault in itertools.islice(itertools.cycle(_FAULTS), 60):
            faults = [*[None] * _GOOD_BETWEEN, fault, *faults]
        with LocalKafka(folder / "kafka") as kafka, EventGateServer(streams, faults) as gate:
            topics = input_topics(configuration, None)
            kafka.create_topics(*topics)
            options = [
                "--from",
                "earliest",
                "--state",
                str(folder / "state"),
                "--output",
                f"eventgate={gate.url}",
                "--combined",
                "60",
            ]
            with Program(
                "pipeline", "stream", "--models", str(models), "--kafka", kafka.address, *options
            ) as program:
                program.wait_for("^reading")
                _send(kafka.address, topics[0], edits, arguments.events, arguments.rate)
                _wait(gate, len(expected) + arguments.events)
                program.stop()
        _tell(gate, expected, arguments.events)
        _compare(gate, _in_batch(folder, models, lift_wing.url, edits, arguments.events))


def _send(broker: str, topic: str, edits: Edits, count: int, rate: float) -> None:
    producer = Producer({"bootstrap.servers": broker, "log_level": 0})
    began, calls = time.monotonic(), 0
    for event in range(count):
        if (early := calls / rate - (time.monotonic() - began)) > 0:
            time.sleep(early)
        producer.produce(topic, edits.message(event, time.time()))
        producer.poll(0)
        calls += len(edits.edit(event).models)
    producer.flush()


def _wait(gate: EventGateServer, count: int) -> None:
    """Until it has so many, or no more come."""
    until, had = time.monotonic() + _PATIENCE_S, 0
    while len(gate.events) < count and time.monotonic() < until:
        if len(gate.events) > had:
            until, had = time.monotonic() + _PATIENCE_S, len(gate.events)
        time.sleep(0.5)


def _tell(gate: EventGateServer, expected: set[tuple[str, int]], revisions: int) -> None:
    events = list(gate.events.values())
    of_models = [event for event in events if event["meta"]["stream"] != STREAM and "scores" in event]
    scored = Counter((next(iter(event["scores"])), event["rev_id"]) for event in of_models)
    combined = {event["rev_id"]: event for event in events if event["meta"]["stream"] == STREAM}
    last: dict[int, datetime] = {}
    for event in of_models:
        made = _time(event)
        last[event["rev_id"]] = max(last.get(event["rev_id"], made), made)
    added = sorted(
        (_time(event) - last[rev_id]).total_seconds() for rev_id, event in combined.items() if rev_id in last
    )
    rows: list[list[str | float]] = [
        [
            "scores expected, of them there, twice",
            f"{len(expected)}, {len(expected & scored.keys())}, "
            f"{sum(count > 1 for count in scored.values())}",
        ],
        ["revisions, of them with a combined event", f"{revisions}, {len(combined)}"],
        [
            "combined events with all their scores",
            str(sum("errors" not in event for event in combined.values())),
        ],
        [
            "seconds after the last score: p50, p99",
            ", ".join(f"{value:.2f}" for value in quantiles(added, (0.5, 0.99))),
        ],
        ["failures", str(sum("message" in event for event in events))],
        ["invalid by jsonschema", str(sum(not valid for valid in map(_is_valid, events)))],
        [
            "POSTs, events taken more than once",
            f"{gate.posts}, {sum(count > 1 for count in gate.taken.values())}",
        ],
    ]
    print(table("To an EventGate that fails in every way", ["", "figure"], rows), flush=True)


def _in_batch(folder: Path, models: Path, lift_wing: str, edits: Edits, count: int) -> dict[int, Any]:
    """The combined events by revision."""
    source = folder / "in.jsonl"
    source.write_bytes(b"\n".join(edits.message(event, time.time()) for event in range(count)))
    for command in (
        [
            "regenerate",
            "--models",
            models,
            "--lift-wing",
            lift_wing,
            "--input",
            source,
            "--output",
            folder / "scores",
        ],
        ["combine", folder / "scores"],
    ):
        if (done := run("pipeline", *map(str, command))).returncode:
            raise RuntimeError(done.stdout + done.stderr)
    batches = (
        pads.dataset(folder / "scores" / schemas.table_name(STREAM), format="parquet").to_table().to_batches()
    )
    return {
        row["rev_id"]: _comparable(row)
        for batch in batches
        for row in schemas.events_of_batch(batch)
        if not isinstance(row, schemas.BadRow)
    }


def _compare(gate: EventGateServer, in_batch: dict[int, Any]) -> None:
    in_stream = {
        event["rev_id"]: _comparable(event)
        for event in gate.events.values()
        if event["meta"]["stream"] == STREAM
    }
    same = sum(in_batch.get(rev_id) == event for rev_id, event in in_stream.items())
    print(
        f"\ncombined events of the stream {len(in_stream)}, of regenerate and combine {len(in_batch)}, "
        f"equal but for meta.dt {same}",
        flush=True,
    )


def _comparable(event: dict[str, Any]) -> dict[str, Any]:
    """Without when it was made; a table has an empty list and an empty map in one form."""
    meta = {name: value for name, value in event["meta"].items() if name != "dt"}
    return {**{name: value for name, value in event.items() if value not in ({}, [])}, "meta": meta}


def _time(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["meta"]["dt"].replace("Z", "+00:00"))


_VALIDATORS: dict[str, Any] = {}


def _is_valid(event: dict[str, Any]) -> bool:
    uri = event["$schema"]
    if uri not in _VALIDATORS:
        _VALIDATORS[uri] = jsonschema.Draft7Validator(
            {**schemas.load(uri), "$schema": "http://json-schema.org/draft-07/schema#"}
        )
    valid: bool = _VALIDATORS[uri].is_valid(event)
    return valid


if __name__ == "__main__":
    main()
