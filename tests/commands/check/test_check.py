"""The command `check`: each fault that can be planted is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.checks.lift_wing import fault_of
from pipeline.flink import state_identity
from pipeline.flink.state_folder import locked
from pipeline.flink.state_identity import Identity
from pipeline.main import main
from pipeline.process.child_process import free_port
from runners.secure_kafka import SecureKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.checked import (
    NO_AUTHORITY,
    NO_JAVA,
    STREAMS,
    UNKNOWN_KEY,
    WELL,
    Case,
    broker_is_down,
    check,
    in_folder,
    lines,
    models_file,
    no_service,
    not_writable,
    port_is_taken,
    schema_is_missing,
    topics_are_missing,
)
from tests.support.eventgate import EventGateServer
from tests.support.snapshots import snapshot
from transforms.http.curl_client import HttpAnswer

pytestmark = pytest.mark.kafka


def test_a_set_that_is_well(capsys: pytest.CaptureFixture[str], well: Case, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert main(well.words) == 0
    assert capsys.readouterr().out == "".join(
        [
            f"ok  models     {well.told['models'][1]}\n",
            f"ok  java       {well.told['java'][1]}\n",
            f"ok  jar        {well.told['jar'][1]}\n",
            f"ok  kafka      {well.told['kafka'][1]}\n",
            "ok  topics     2 to read, 6 to write\n",
            f"ok  lift wing  {well.told['lift wing'][1]}\n",
            "ok  schemas    /error/2.1.0, /mediawiki/revision/score/3.0.0\n",
            f"ok  state      {well.told['state'][1]}\n",
            f"{WELL}\n",
        ]
    )
    assert sorted(tmp_path.rglob("*")) == before, "it leaves nothing behind"


def test_a_set_that_is_well_with_all_there_is(
    capsys: pytest.CaptureFixture[str],
    well: Case,
    kafka: SecureKafka,
    secure_lift_wing: SimulatedLiftWing,
    tmp_path: Path,
) -> None:
    """TLS wherever it can be, EventGate, the legacy stream, a port for metrics."""
    port, properties = free_port(), tmp_path / "kafka.properties"
    properties.write_text(kafka.by_password())
    models_file(tmp_path, secure_lift_wing.url, f", ca_file: {kafka.folder / 'ca.pem'}")
    first = min(kafka.with_password, secure_lift_wing.url.removeprefix("https://"))  # both have the same
    with EventGateServer([*STREAMS, "mediawiki.revision-score"]) as gate:
        asked = well.asked(
            kafka=kafka.with_password,
            kafka_properties=properties,
            output=f"eventgate={gate.url}",
            combined=5,
            metrics_port=port,
        )
        told = asked.expected(
            kafka=("ok", f"the broker at {kafka.with_password} lets us in"),
            topics=("ok", "2 to read, 0 to write"),
            eventgate=(
                "ok",
                f"{gate.url} takes bodies of 4,000,000 bytes, and knows the 4 streams and their schemas",
            ),
            metrics=("ok", f"port {port} is free"),
            certificates=("ok", f"that of {first} expires first of 2, in 30 days"),
            **{"lift wing": ("ok", f"3 endpoints at {secure_lift_wing.url}")},
        )
        check(capsys, told, 0, WELL)


def test_a_broker_that_is_down(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    check(
        capsys,
        well.asked(kafka=nobody).expected(**broker_is_down(nobody)),
        1,
        "1 of 8 things is wrong, 1 could not be looked at",
    )


def test_a_topic_that_is_missing(capsys: pytest.CaptureFixture[str], well: Case, kafka: SecureKafka) -> None:
    missing = topics_are_missing(kafka, "eqiad.none", "eqiad.mediawiki.revision-score")
    check(
        capsys,
        well.asked(input_topics="eqiad.none", combined=5).expected(**missing),
        1,
        "1 of 8 things is wrong",
    )


def test_another_authority_than_that_of_the_broker(
    capsys: pytest.CaptureFixture[str], well: Case, kafka: SecureKafka, tmp_path: Path
) -> None:
    properties = tmp_path / "kafka.properties"
    properties.write_text(kafka.by_password(authority="another-ca.pem"))
    repair = (
        "name the authority that signed its certificate as ssl.truststore.location in "
        "--kafka-properties, and the broker as the certificate does"
    )
    told = well.asked(kafka=kafka.with_password, kafka_properties=properties).expected(
        kafka=(
            "wrong",
            f"--kafka: the broker at {kafka.with_password} cannot be trusted (certificate verify failed); "
            f"{repair}",
        ),
        topics=("unseen", "not looked at: no broker tells of the 2 to read and the 6 to write"),
    )
    check(capsys, told, 1, "1 of 8 things is wrong, 1 could not be looked at")


def test_another_authority_than_that_of_lift_wing(
    capsys: pytest.CaptureFixture[str],
    well: Case,
    kafka: SecureKafka,
    secure_lift_wing: SimulatedLiftWing,
    tmp_path: Path,
) -> None:
    models_file(tmp_path, secure_lift_wing.url, f", ca_file: {kafka.folder / 'another-ca.pem'}")
    text = (
        f"3 of 3 endpoints at {secure_lift_wing.url} (enwiki-damaging, frwiki-damaging, "
        f"enwiki-goodfaith): {NO_AUTHORITY}"
    )
    check(capsys, well.expected(**{"lift wing": ("wrong", text)}), 1, "1 of 8 things is wrong")


def test_an_unknown_key_in_the_models_file(
    capsys: pytest.CaptureFixture[str], well: Case, lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    file = models_file(tmp_path, lift_wing.url, key=", concurency: 3")
    check(capsys, well.expected(models=("wrong", UNKNOWN_KEY.format(file))), 1, "1 of 8 things is wrong")


def test_no_java(
    capsys: pytest.CaptureFixture[str], well: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check(capsys, well.expected(java=("wrong", NO_JAVA)), 1, "1 of 8 things is wrong")


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str], well: Case, taken_port: int) -> None:
    check(
        capsys,
        well.asked(metrics_port=taken_port).expected(**port_is_taken(taken_port)),
        1,
        "1 of 9 things is wrong",
    )


def test_an_endpoint_that_lift_wing_does_not_have(
    capsys: pytest.CaptureFixture[str], well: Case, lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    models_file(tmp_path, lift_wing.url, namespace="elsewhere")
    check(capsys, well.expected(**no_service(lift_wing)), 1, "1 of 8 things is wrong")


def test_a_state_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], well: Case, tmp_path: Path
) -> None:
    below = tmp_path / "models.yaml" / "state"
    check(capsys, well.asked(state=below).expected(**not_writable(below)), 1, "1 of 8 things is wrong")


def test_a_state_of_another_kafka_and_one_of_an_earlier_version(
    capsys: pytest.CaptureFixture[str], well: Case
) -> None:
    folder = well.options["state"] / "revision-scores"
    snapshot(folder / "checkpoints" / "run" / "chk-1", 1)
    anew = (
        "name another --state: a new one begins where --group stopped in Kafka, and what waits in this "
        "one is left there"
    )
    left = (
        f"--state: what is in {folder} was left by a version without state.json, with which this one "
        f"cannot go on; {anew}"
    )
    check(capsys, well.expected(state=("wrong", left)), 1, "1 of 8 things is wrong")
    state_identity.write(folder, Identity("another", "revision-scores", {}, combined=False))
    assert main(well.words) == 1
    assert (
        f"wrong  state      --state: {folder} is of Kafka another and --group revision-scores, not of Kafka "
        in capsys.readouterr().out
    )


def test_a_schema_that_is_missing(well: Case, without_schema: Path) -> None:
    done = in_folder(without_schema, well.words)
    assert (lines(done.stdout), done.stderr) == (
        (well.expected(**schema_is_missing(without_schema)).told, "1 of 8 things is wrong"),
        "",
    )
    assert done.returncode == 1


# What else there is to say


def test_another_stream_in_the_same_place(
    capsys: pytest.CaptureFixture[str], well: Case, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "revision-scores"
    state.mkdir(parents=True)
    with locked(state):
        text = f"--state: another stream works in {state}; stop it, or name another --group or --state"
        check(capsys, well.expected(state=("wrong", text)), 1, "1 of 8 things is wrong")
    check(capsys, well, 0, WELL)


def test_an_eventgate_that_is_down(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    down = f"http://127.0.0.1:{free_port()}/v1/events"
    with EventGateServer(STREAMS) as gate:
        told = well.asked(output=f"eventgate.eqiad={gate.url},eventgate.codfw={down}").expected(
            topics=("ok", "2 to read, 0 to write")
        )
        assert main(told.words) == 1
    rows = capsys.readouterr().out.splitlines()
    assert [row for row in rows if " eventgate " in row] == [
        f"ok     eventgate  {gate.url} takes bodies of 4,000,000 bytes, and knows the 3 streams and "
        "their schemas",
        f"wrong  eventgate  --output: no EventGate answers at {down} (Connection refused); start it, or "
        "name another",
    ]
    assert rows[-1] == "1 of 9 things is wrong"


def test_a_service_that_fails(
    capsys: pytest.CaptureFixture[str], well: Case, lift_wing: SimulatedLiftWing
) -> None:
    lift_wing.control(mode="status", status=503, model="damaging", wiki="enwiki")
    text = (
        f"1 of 3 endpoints at {lift_wing.url} "
        "(enwiki-damaging.revscoring-editquality-damaging.wikimedia.org): expected 200, got 503; "
    )
    repair = "see what ails the service, or write enabled: false in the models file"
    try:
        check(capsys, well.expected(**{"lift wing": ("wrong", text + repair)}), 1, "1 of 8 things is wrong")
    finally:
        lift_wing.clear()


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (HttpAnswer(200, b'{"name":"a","ready":true}', 0, 0), None),
        (HttpAnswer(200, b'{"name":"a","ready":"True"}', 0, 0), None),
        (HttpAnswer(200, b'{"name":"a","ready":false}', 0, 0), "the model is not loaded"),
        (HttpAnswer(200, b"<html>", 0, 0), None),
        (HttpAnswer(405, b"", 0, 0), None),
        (HttpAnswer(401, b"", 0, 0), None),
        (HttpAnswer(404, b"", 0, 0), "404, no such service or model"),
        (HttpAnswer(502, b"", 0, 0), "expected 200, got 502"),
        (
            HttpAnswer(0, b"", 0, 0, "Operation timed out after 5001 milliseconds", timed_out=True),
            "expected an answer within 5 s, got none",
        ),
        (
            HttpAnswer(0, b"", 0, 0, "Failed to connect to a:1 after 17 ms: Could not"),
            "Failed to connect to a:1: Could not",
        ),
    ],
)
def test_what_the_answer_of_an_endpoint_means(answer: HttpAnswer, what: str | None) -> None:
    fault = fault_of("http://a:1", answer)
    assert (fault and fault.what) == what
