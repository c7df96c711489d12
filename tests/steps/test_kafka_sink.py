"""Kafka as it is: who is let in, which topics must be there, and what a broker that comes and goes is given
and takes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

import schemas
from pipeline.config.kafka import Kafka
from pipeline.config.topics import output_topics
from pipeline.usage_error import UsageError
from runners.local_kafka import LocalKafka
from runners.programs import run
from runners.secure_kafka import SecureKafka
from tests.support.events import edit, request
from tests.support.kafka import ERRORS, NOW, in_topic, write
from transforms.connectors.kafka_producers import KafkaProducers
from transforms.elements import OutputEvent
from transforms.events.error_events import CUT
from transforms.models.model import Configuration

pytestmark = pytest.mark.kafka

PASSWORD = "horse,battery;staple"
CREATE = (
    "create what is missing: for topic in {}; do kafka-topics.sh --bootstrap-server {}{} --create "
    "--topic $topic; done"
)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("kafka"), PASSWORD) as broker:
        broker.create_topics("eqiad.in", "eqiad.small", f"eqiad.{ERRORS}")
        yield broker


def entry(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def problem(kafka: Kafka, read: list[str], written: list[str]) -> str:
    with pytest.raises(UsageError) as error:
        kafka.check_topics(read, written)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_who_has_the_password_or_a_certificate_comes_in(kafka: SecureKafka, tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    Kafka(kafka.with_password, entry(file, kafka.by_password())).check_topics(["eqiad.in"], ["eqiad.small"])
    for store in (
        ["ssl.keystore.type=PEM", f"ssl.keystore.location={kafka.folder / 'client.pem'}"],
        [
            "ssl.keystore.type=PKCS12",
            f"ssl.keystore.location={kafka.folder / 'client.p12'}",
            f"ssl.keystore.password={kafka.password}",
        ],
    ):
        Kafka(kafka.with_certificate, entry(file, kafka.by_certificate(*store))).check_topics(
            ["eqiad.in"], []
        )


def test_who_does_not_is_told_so_in_a_line(kafka: SecureKafka, tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    locked = f"--kafka: the broker at {kafka.with_password} does not let us in ("
    wrong_password = problem(
        Kafka(kafka.with_password, entry(file, kafka.by_password("guessed"))), ["eqiad.in"], []
    )
    assert wrong_password.startswith(locked)
    assert wrong_password.endswith(
        "Authentication failed: Invalid username or password); mend --kafka-properties"
    )
    assert "guessed" not in wrong_password
    wrong_authority = problem(
        Kafka(kafka.with_password, entry(file, kafka.by_password(authority="another-ca.pem"))),
        ["eqiad.in"],
        [],
    )
    assert wrong_authority.startswith(f"--kafka: the broker at {kafka.with_password} cannot be trusted (")
    assert (
        "certificate verify failed); name the authority that signed its certificate as "
        "ssl.truststore.location in --kafka-properties" in wrong_authority
    )
    no_certificate = problem(
        Kafka(kafka.with_certificate, entry(file, kafka.by_certificate())), ["eqiad.in"], []
    )
    assert no_certificate.startswith(f"--kafka: the broker at {kafka.with_certificate} does not let us in (")
    store = [
        "ssl.keystore.type=PKCS12",
        f"ssl.keystore.location={kafka.folder / 'client.p12'}",
        "ssl.keystore.password=guessed",
    ]
    assert problem(
        Kafka(kafka.with_certificate, entry(file, kafka.by_certificate(*store))), [], []
    ).startswith(f"--kafka-properties: {file}: ")
    assert problem(Kafka(kafka.with_password), [], []).startswith(
        f"--kafka: no broker answers at {kafka.with_password} ("
    )


def test_a_file_that_cannot_be_used_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    for path, text in [
        (
            tmp_path / "none",
            f"--kafka-properties: {tmp_path / 'none'} cannot be read: No such file or directory",
        ),
        (
            entry(tmp_path / "x", "acks=0"),
            f"--kafka-properties: {tmp_path / 'x'}: acks: expected only security.protocol, ",
        ),
    ]:
        with pytest.raises(UsageError) as error:
            Kafka("127.0.0.1:9", path)
        assert str(error.value).startswith(text)


def test_a_broker_of_ours_takes_no_port_of_somebody_else(kafka: SecureKafka, tmp_path: Path) -> None:
    port = kafka.address.rpartition(":")[2]
    done = run("runners.local_kafka", "--port", port, "--folder", str(tmp_path))
    line = f"local_kafka: --port: somebody listens on {port} already; name another one\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_all_missing_topics_are_named_with_the_command_that_creates_them(
    kafka: SecureKafka, tmp_path: Path
) -> None:
    """This broker creates none by itself."""
    missing = problem(
        Kafka(kafka.address), ["eqiad.in", "eqiad.none"], ["eqiad.small", "eqiad.score-a", "eqiad.score-b"]
    )
    names = ["eqiad.none", "eqiad.score-a", "eqiad.score-b"]
    assert (
        missing
        == f"--kafka: the broker at {kafka.address} has no topic {', '.join(names)}; "
        + CREATE.format(" ".join(names), kafka.address, "")
    )
    file = entry(tmp_path / "k.properties", kafka.by_password())
    missing = problem(Kafka(kafka.with_password, file), ["eqiad.none"], [])
    assert missing.endswith(CREATE.format("eqiad.none", kafka.with_password, f" --command-config {file}"))


def test_outputs_are_those_of_models_that_are_on_in_each_datacenter_that_is_read(
    shipped: Configuration,
) -> None:
    streams = {
        model.stream
        for model in shipped.models.values()
        if any(endpoint.enabled for endpoint in model.endpoints.values())
    }
    assert 0 < len(streams) <= len(shipped.models)
    assert output_topics(shipped, ["codfw.a", "codfw.b"]) == [
        f"codfw.{stream}" for stream in [*dict.fromkeys(sorted(streams, key=order(shipped))), ERRORS]
    ]
    assert {topic.partition(".")[0] for topic in output_topics(shipped, ["codfw.a", "eqiad.b"])} == {
        "codfw",
        "eqiad",
    }


def order(configuration: Configuration) -> Any:
    return [model.stream for model in configuration.models.values()].index


def event(number: int, stream: str = "small", padding: int = 0) -> OutputEvent:
    body = {"number": number, "padding": "x" * padding, "meta": {"id": f"id-{number}", "dt": NOW}}
    return OutputEvent(stream, body, "eqiad", request=request(raw=edit(rev_id=number)))


@pytest.mark.parametrize("answers", [True, False])
def test_a_producer_is_connected_before_its_first_event_if_anybody_is_there(answers: bool) -> None:
    calls: list[tuple[str, str]] = []

    class Recorded:
        def __init__(self, settings: dict[str, Any], logger: object) -> None: ...

        def list_topics(self, topic: str, timeout: float) -> None:
            calls.append(("list_topics", topic))
            if not answers:
                raise KafkaException(KafkaError(KafkaError._TRANSPORT))

        def produce(self, topic: str, value: bytes, **_: object) -> None:
            calls.append(("produce", topic))

    outbox = KafkaProducers({}, Recorded).outbox("eqiad.s")
    for number in (1, 2):
        event = OutputEvent("s", {"meta": {"dt": NOW}}, "eqiad", request=request(raw=edit(rev_id=number)))
        outbox.put(event, b"{}")
    assert calls == [(call, "eqiad.s") for call in ("list_topics", "produce", "produce")]
    assert [delivery.decided_at for delivery in outbox.deliveries] == [None, None], "it waits for its report"


def numbers(address: str, topic: str) -> Counter[int]:
    return Counter(orjson.loads(message.value())["number"] for message in in_topic(address, topic))


def test_the_sink_comes_in_with_the_password_too(kafka: SecureKafka, tmp_path: Path) -> None:
    kafka.create_topics("eqiad.locked")
    write(
        kafka.with_password,
        event(1, "locked"),
        event(2, "locked"),
        properties=entry(tmp_path / "kafka.properties", kafka.by_password()),
    )
    assert numbers(kafka.address, "eqiad.locked") == {1: 1, 2: 1}


def test_a_score_too_large_for_its_topic_is_a_failure_and_the_others_are_written(kafka: SecureKafka) -> None:
    kafka.configure_topic("eqiad.small", "max.message.bytes", "600")
    # the last is too large for librdkafka itself
    write(kafka.address, event(1), event(2, padding=1_000), event(3), event(4, padding=2_000_000))
    assert numbers(kafka.address, "eqiad.small") == {1: 1, 3: 1}
    failures = sorted(
        (orjson.loads(message.value()) for message in in_topic(kafka.address, f"eqiad.{ERRORS}")),
        key=lambda failure: failure["raw_event"],
    )
    assert [(failure["error_type"], failure["message"]) for failure in failures] == [
        (
            "WritePerModel/damaging",
            f"eqiad.small takes no message of {len(orjson.dumps(event(number, padding=padding).body))} bytes",
        )
        for number, padding in ((2, 1_000), (4, 2_000_000))
    ]
    assert [orjson.loads(failure["raw_event"]) for failure in failures] == [edit(rev_id=2), edit(rev_id=4)]
    for failure in failures:
        schemas.validator("/error/2.1.0")(failure)


def test_a_failure_too_large_for_its_topic_loses_the_end_of_its_original(kafka: SecureKafka) -> None:
    kafka.create_topics("codfw.small", f"codfw.{ERRORS}")
    kafka.configure_topic("codfw.small", "max.message.bytes", "200")
    kafka.configure_topic(f"codfw.{ERRORS}", "max.message.bytes", "1200")
    large = event(1, padding=1_000)
    write(kafka.address, OutputEvent("small", large.body, "codfw", request=large.request))
    (failure,) = (orjson.loads(message.value()) for message in in_topic(kafka.address, f"codfw.{ERRORS}"))
    assert orjson.dumps(edit(rev_id=1)).decode().startswith(failure["raw_event"])
    assert failure["message"].endswith(CUT)
    kafka.configure_topic(f"codfw.{ERRORS}", "max.message.bytes", "200")
    with pytest.raises(
        Exception, match="takes not even a failure without its original; raise its max.message.bytes"
    ):
        write(kafka.address, OutputEvent("small", large.body, "codfw", request=large.request))


def test_what_is_refused_for_another_reason_fails_the_bundle(kafka: SecureKafka) -> None:
    kafka.create_topics("eqiad.strict")
    kafka.configure_topic("eqiad.strict", "cleanup.policy", "compact")  # which takes no message without a key
    with pytest.raises(Exception, match="eqiad.strict: .*failed to validate record"):
        write(kafka.address, event(1, "strict"))


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path / "kafka") as broker:
        broker.create_topics("eqiad.small")
        yield broker


@contextmanager
def writing(address: str, *events: OutputEvent) -> Iterator[threading.Event]:
    """Writes in another thread, until all is acknowledged; a server belongs to the thread that starts it."""
    written = threading.Event()

    def write_all() -> None:
        write(address, *events)
        written.set()

    thread = threading.Thread(target=write_all)
    thread.start()
    yield written
    thread.join(60)
    assert written.is_set()


def test_a_broker_that_freezes_and_one_that_is_killed_get_everything_once(own_kafka: LocalKafka) -> None:
    own_kafka.freeze()
    with writing(own_kafka.address, *map(event, range(100))) as written:
        time.sleep(2)  # how long it stays frozen
        assert not written.is_set()
        own_kafka.thaw()
    assert numbers(own_kafka.address, "eqiad.small") == dict.fromkeys(range(100), 1)
    own_kafka.kill()
    with writing(own_kafka.address, *map(event, range(100, 200))):
        own_kafka.start()
    assert numbers(own_kafka.address, "eqiad.small") == dict.fromkeys(range(200), 1)
    assert Kafka(own_kafka.address).check_topics([], ["eqiad.any"]) is None, (
        "this broker creates topics by itself"
    )


def test_a_topic_gets_a_producer_that_was_made_before(kafka: SecureKafka) -> None:
    """One that is new waits half a second with its first event, at times."""
    made: list[Producer] = []

    def new_producer(*arguments: Any, **named: Any) -> Producer:
        made.append(Producer(*arguments, **named))
        return made[-1]

    producers = KafkaProducers({"bootstrap.servers": kafka.address}, new_producer)
    ahead = len(made)
    topics = [f"eqiad.new-{number}" for number in range(ahead + 1)]
    assert ahead > 0
    assert [producers.of_topic(topic) for topic in topics] == made[: ahead + 1]
    assert [producers.of_topic(topic) for topic in topics] == made[: ahead + 1]
    assert len(made) == 2 * ahead + 1
    assert producers.of_topic(topics[0], alone=True) is made[-1]
    producers.close()
