"""Failures of a stream go through the steps once more: a real broker, the DirectRunner, a Lift Wing that has
come back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.config.models_file import load
from runners.local_kafka import LocalKafka
from runners.programs import run
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.events import ROOT, edit
from tests.support.kafka import in_topic
from transforms.elements import Failure, Score
from transforms.events.error_events import error_event
from transforms.events.score_events import ScoreStream, revision_score

pytestmark = pytest.mark.kafka

MODELS = load(ROOT / "pipeline" / "models.yaml")
NOW = "2024-02-15T13:00:00.000000Z"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def topic(kafka: LocalKafka, request: pytest.FixtureRequest) -> str:
    """A failure topic of the test's own."""
    name = f"eqiad.{request.node.originalname}"
    kafka.create_topics(name)
    return name


def failure(
    rev_id: int, model: str | None = "damaging", reason: str = "503: no healthy upstream", **changes: Any
) -> dict[str, Any]:
    step = "ScoreWithLiftWing" if model else "SelectModels"
    original = orjson.dumps(edit(rev_id=rev_id, **changes)).decode()
    return error_event(Failure(step, reason, original, "eqiad", model), MODELS.failure_stream, NOW)


def send(kafka: LocalKafka, topic: str, *events: Mapping[str, Any] | bytes) -> None:
    producer = Producer({"bootstrap.servers": kafka.address})
    for event in events:
        producer.produce(topic, event if isinstance(event, bytes) else orjson.dumps(event))
    producer.flush()


def replay(kafka: LocalKafka, lift_wing: str, topic: str, *options: str) -> Any:
    return run(
        "pipeline",
        "replay",
        "--kafka",
        kafka.address,
        "--lift-wing",
        lift_wing,
        "--failures",
        topic,
        *options,
    )


def test_only_the_model_that_failed_is_asked_again_and_its_score_has_the_id_it_would_have_had(
    kafka: LocalKafka, lift_wing: SimulatedLiftWing, topic: str
) -> None:
    send(kafka, topic, failure(1), failure(2, "goodfaith"), failure(1))
    done = replay(kafka, lift_wing.url, topic)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:5] == [
        f"3 failures in {topic}, 2 to try again",
        "       1  damaging: 503: no healthy upstream",
        "       1  goodfaith: 503: no healthy upstream",
        "not tried again:",
        "       1  the same failure again",
    ]
    assert done.stdout.splitlines()[-1] == "none failed again"
    assert lift_wing.calls() == {("damaging", "enwiki", 1): 1, ("goodfaith", "enwiki", 2): 1}
    (score,) = [
        orjson.loads(message.value())
        for message in in_topic(kafka.address, "eqiad.mediawiki.revision-score-damaging")
    ]
    as_streamed = revision_score(
        edit(rev_id=1), ScoreStream("damaging", MODELS.models["damaging"].stream), Score("", True, {}), NOW
    )
    assert score["meta"]["id"] == as_streamed["meta"]["id"]


def test_a_failure_before_there_was_a_model_asks_all_that_its_event_wants(
    kafka: LocalKafka, lift_wing: SimulatedLiftWing, topic: str
) -> None:
    send(kafka, topic, failure(11, model=None, reason="database: no wiki is called 'enwiki'"))
    assert replay(kafka, lift_wing.url, topic).returncode == 0
    assert lift_wing.calls() == {
        (model, "enwiki", 11): 1 for model in ("damaging", "goodfaith", "articletopic")
    }


def test_what_fails_again_is_in_the_failure_stream_again(
    kafka: LocalKafka, lift_wing: SimulatedLiftWing, topic: str
) -> None:
    lift_wing.control(mode="status", status=400, rev_id=21)
    send(kafka, topic, failure(21), failure(22))
    done = replay(kafka, lift_wing.url, topic)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        1,
        "1 failed again, and are in mediawiki.revision-score.error again",
    )
    failures = [
        orjson.loads(message.value()) for message in in_topic(kafka.address, f"eqiad.{MODELS.failure_stream}")
    ]
    (again,) = [each for each in failures if orjson.loads(each["raw_event"])["rev_id"] == 21]
    assert again["meta"]["id"] == failure(21)["meta"]["id"]
    assert again["message"].startswith("400: ")


def test_a_choice_of_models_wikis_and_reasons_and_what_cannot_be_tried_again(
    kafka: LocalKafka, lift_wing: SimulatedLiftWing, topic: str
) -> None:
    cut = {**failure(36), "message": "503: x; the original was cut", "raw_event": "{"}
    send(
        kafka,
        topic,
        *(
            failure(31),
            failure(32, "goodfaith"),
            failure(33, reason="404: gone"),
            failure(34, database="dewiki"),
            failure(35, "drafttopic"),
        ),
        *(cut, b"no JSON", b"{}"),
    )
    done = replay(
        kafka,
        lift_wing.url,
        topic,
        "--only",
        "damaging,drafttopic",
        "--wikis",
        "enwiki",
        "--reason",
        "^503",
        "--dry-run",
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = Counter(" ".join(line.split()) for line in done.stdout.splitlines())
    assert lines[f"8 failures in {topic}, 1 to try again"] == 1
    assert lines["1 damaging: 503: no healthy upstream"] == 1
    assert lines["1 drafttopic no longer wants its event"] == 1
    assert lines["2 not written by this pipeline"] == 1
    assert lift_wing.calls() == {}


def test_every_partition_is_read_from_the_time_that_is_asked_for(
    kafka: LocalKafka, lift_wing: SimulatedLiftWing
) -> None:
    topic, noon = "eqiad.failures-in-partitions", datetime(2024, 2, 15, 12, tzinfo=timezone.utc)
    admin = AdminClient({"bootstrap.servers": kafka.address})
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": kafka.address})
    for rev_id in range(50, 62):
        at = noon + timedelta(minutes=rev_id - 56)
        producer.produce(
            topic, orjson.dumps(failure(rev_id)), partition=rev_id % 3, timestamp=round(at.timestamp() * 1000)
        )
    producer.flush()
    for since, first in (("2024-02-15T12:00", 56), ("2024-02-15T13:01+01:00", 57), ("2024-02-15T12:06Z", 62)):
        done = replay(kafka, lift_wing.url, topic, "--since", since, "--dry-run")
        assert done.stdout.splitlines()[0] == f"{62 - first} failures in {topic}, {62 - first} to try again"
    assert replay(kafka, lift_wing.url, topic, "--since", "2024-02-15T12:00").returncode == 0
    assert lift_wing.calls() == {("damaging", "enwiki", rev_id): 1 for rev_id in range(56, 62)}


def test_a_model_that_is_still_dead_or_stopped_holds_up_no_other(
    kafka: LocalKafka, lift_wing: SimulatedLiftWing, topic: str, tmp_path: Path
) -> None:
    models = (ROOT / "pipeline" / "models.yaml").read_text(encoding="utf-8")
    file = tmp_path / "models.yaml"
    models, limited = re.subn("max_age_s: 3600", "max_age_s: 3", models)
    models, stopped = re.subn(r"(?<=  drafttopic:\n)((?:    .*\n)*?    concurrency: )5", r"\g<1>0", models)
    assert (limited, stopped) == (1, 1)
    file.write_text(models, encoding="utf-8")
    lift_wing.control(mode="status", status=503, model="damaging")
    send(
        kafka,
        topic,
        *(failure(rev_id, model) for rev_id in range(100, 140) for model in ("damaging", "goodfaith")),
        failure(140, "drafttopic"),
    )
    done = replay(kafka, lift_wing.url, topic, "--models", str(file))
    assert (done.returncode, done.stderr) == (1, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "1 drafttopic is stopped by its concurrency of 0" in lines
    assert "damaging 40 0 40 mediawiki.revision-score-damaging" in lines
    assert "goodfaith 40 40 0 mediawiki.revision-score-goodfaith" in lines
    assert lines[-1] == "40 failed again, and are in mediawiki.revision-score.error again"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--reason", "("], "--reason: expected a regular expression, got '('"),
        (["--since", "yesterday"], "--since: expected a time such as 2024-02-15T13:00, got 'yesterday'"),
        (
            ["--failures", "here.failures"],
            "--failures: expected topics that begin with eqiad. or codfw., got 'here.failures'",
        ),
        (["--failures", "eqiad.nowhere"], "has no topic eqiad.nowhere"),
    ],
)
def test_wrong_use_is_told_in_a_line(kafka: LocalKafka, options: list[str], said: str) -> None:
    done = run("pipeline", "replay", "--kafka", kafka.address, *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
