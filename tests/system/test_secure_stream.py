"""The stream with a Kafka that lets in only who has the password, over TLS: by Beam's Java source and by the
sink; and where the password then is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runners.programs import Program, run
from runners.secure_kafka import SecureKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.streams import Topics, edits, wait_for_checkpoint, wanted
from transforms.models.model import Configuration

pytestmark = pytest.mark.flink

PASSWORD = "correct;horse,battery staple"


@pytest.fixture
def secure_kafka(tmp_path: Path, shipped: Configuration) -> Iterator[SecureKafka]:
    streams = [*(model.stream for model in shipped.models.values()), shipped.failure_stream]
    with SecureKafka(tmp_path / "kafka", PASSWORD) as broker:
        broker.create_topics(
            *(f"{datacenter}.{stream}" for datacenter in shipped.datacenters for stream in streams)
        )
        yield broker


def test_scores_come_and_the_password_is_in_its_file_alone(
    secure_kafka: SecureKafka, shipped: Configuration, tmp_path: Path
) -> None:
    topics, lines, state = Topics(secure_kafka, "secure", shipped), edits(5000, 5040), tmp_path / "state"
    properties = tmp_path / "kafka.properties"
    properties.write_text(secure_kafka.by_password())
    scores = wanted(lines, "eqiad", shipped)
    rejected = next(key for key in scores if key[1] == "damaging")
    with SimulatedLiftWing(latency=0.02) as lift_wing:
        lift_wing.control(mode="status", status=400, model="damaging", rev_id=rejected[3])
        entry = ["--kafka", secure_kafka.with_password, "--kafka-properties", str(properties)]
        what = [
            "--lift-wing",
            lift_wing.url,
            "--input-topics",
            ",".join(topics.inputs),
            "--from",
            "earliest",
            "--state",
            str(state),
        ]
        with Program("pipeline", "stream", *entry, *what) as program:
            topics.send([*lines, b"not json"], topics.inputs[0])
            topics.wait_for(
                lambda topics: topics.scored() == Counter(scores - {rejected}) and len(topics.failures()) == 2
            )
            wait_for_checkpoint(state)
            started = psutil.Process(program.process.pid).children(recursive=True)
            told = [word for process in started for word in (*process.cmdline(), *process.environ().values())]
            assert program.stop() == 0
        lift_wing.clear()
        replayed = run("pipeline", "replay", *entry, "--lift-wing", lift_wing.url, "--only", "damaging")
        assert (replayed.returncode, replayed.stderr) == (0, "")
        topics.wait_for(lambda topics: topics.scored() == Counter(scores))
    topics.close()
    assert len(started) >= 2, "Flink and a worker"
    assert [word for word in [*told, *program.lines] if PASSWORD in word] == []
    files = [file for file in state.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"flink.log", "driver.log", "_metadata"}
    assert [file for file in files if PASSWORD.encode() in file.read_bytes()] == []
