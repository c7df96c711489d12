"""Odd answers through a running stream, with a real Kafka and Flink: `python -m tests.fuzz.stream --count
20000 --seed 1`.

The first answer to each revision is odd, or the first two; then comes a score, or for one in ten a lasting
error. Each has to end once.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from confluent_kafka import Consumer, Producer

from pipeline.config.models_file import load
from runners.local_kafka import LocalKafka
from runners.programs import Program
from tests.fuzz.odd_lift_wing import OddLiftWing
from tests.support.events import ROOT, edit
from transforms.lift_wing.responses import LONGEST_RETRY_AFTER_S

_SHIPPED = ROOT / "pipeline" / "models.yaml"
_TOPIC, _MODEL = "eqiad.mediawiki.revision-create", "damaging"
_SILENCE_S = LONGEST_RETRY_AFTER_S + 60  # without an end, after which no more are waited for


def run(count: int, seed: int, odd: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """Counts the ends of so many revisions by kind, and gives what the command said. Raises AssertionError
    when one does not end, or ends twice."""
    models = load(_SHIPPED)
    wikis = sorted(models.models[_MODEL].endpoints)
    with LocalKafka(folder / "kafka") as kafka, OddLiftWing(seed, odd) as server:
        outputs = [
            f"{datacenter}.{stream}"
            for datacenter in models.datacenters
            for stream in (models.models[_MODEL].stream, models.failure_stream)
        ]
        kafka.create_topics(
            *(f"{datacenter}.mediawiki.revision-create" for datacenter in models.datacenters), *outputs
        )
        _send(kafka.address, count, [wiki for wiki in wikis if models.models[_MODEL].endpoints[wiki].enabled])
        options = [
            "--kafka",
            kafka.address,
            "--lift-wing",
            server.url,
            "--only",
            _MODEL,
            "--from",
            "earliest",
            "--state",
            str(folder / "state"),
        ]
        with Program("pipeline", "stream", *options) as stream:
            ends = _ends(kafka.address, outputs, count)
            assert stream.process.poll() is None
            said = list(stream.lines)
    assert set(ends) == set(range(count)), f"missing: {sorted(set(range(count)) - set(ends))[:20]}"
    assert {len(kinds) for kinds in ends.values()} == {1}, "some ended twice"
    return Counter(kind for kinds in ends.values() for kind in kinds), said


def _send(address: str, count: int, wikis: list[str]) -> None:
    producer = Producer({"bootstrap.servers": address})
    for rev_id in range(count):
        meta = {**edit()["meta"], "id": f"odd {rev_id}"}
        producer.produce(
            _TOPIC, orjson.dumps(edit(rev_id=rev_id, database=wikis[rev_id % len(wikis)], meta=meta))
        )
        producer.poll(0)
    assert producer.flush(60) == 0


def _ends(address: str, topics: list[str], count: int) -> dict[int, list[str]]:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "ends", "auto.offset.reset": "earliest"})
    consumer.subscribe(topics)
    ends: dict[int, list[str]] = {}
    heard_at = time.monotonic()
    while len(ends) < count and time.monotonic() - heard_at < _SILENCE_S:
        for message in consumer.consume(500, 1.0):
            event = orjson.loads(message.value() or b"{}")
            if "scores" in event:
                ends.setdefault(event["rev_id"], []).append("score")
            else:
                ends.setdefault(orjson.loads(event["raw_event"])["rev_id"], []).append(event["message"][:4])
            heard_at = time.monotonic()
    consumer.close()
    return ends


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.stream", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--odd", type=int, default=1, help="answers of each revision that are odd")
    arguments = parser.parse_args()
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        ends, said = run(arguments.count, arguments.seed, arguments.odd, Path(folder))
    print("\n".join(f"{number:>8}  {end}" for end, number in ends.most_common()))
    print(
        f"{ends.total():>8}  revisions, each ended once, in {time.monotonic() - started:.0f} s (seed "
        f"{arguments.seed}); the stream said:"
    )
    print("".join(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
