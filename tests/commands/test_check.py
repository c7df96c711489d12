"""The command `check`: each fault that can be planted is one line, and hides no other."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.checks.flink import parallelism
from pipeline.checks.lift_wing import fault_of
from pipeline.flink import state_identity
from pipeline.flink.job_server import JAR
from pipeline.flink.state_folder import alone
from pipeline.flink.state_identity import Identity
from pipeline.main import main
from pipeline.process.child_process import free_port
from runners.secure_kafka import SecureKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.eventgate import EventGateServer
from tests.support.events import ROOT
from tests.support.loopback import Handler, LoopbackServer
from tests.support.snapshots import snapshot
from transforms.http.curl_client import HttpAnswer

pytestmark = pytest.mark.kafka

WELL = "all is well: stream can start"
STREAMS = [
    "mediawiki.revision-create",
    "mediawiki.revision-score-damaging",
    "mediawiki.revision-score-goodfaith",
    "mediawiki.revision-score.error",
]
MODELS = """\
lift_wing: {{url: "{url}"{more}}}
streams: {{score: "mediawiki.revision-score-{{model}}", failure: mediawiki.revision-score.error}}
models:
  damaging: {{namespace: revscoring-editquality-damaging, wikis: [enwiki, frwiki]}}
  goodfaith: {{namespace: {namespace}, wikis: [enwiki]{key}}}
"""
UNKNOWN_KEY = (
    "{}: models.goodfaith.concurency: expected one of namespace, on, concurrency, enabled, url, stream, "
    "match, match_not, call_s, mediawiki_calls, wikis, "
    "kind, source, service, got 'concurency'; did you mean concurrency?"
)
NO_AUTHORITY = (
    "SSL certificate OpenSSL verify result: self-signed certificate in certificate chain (19); "
    "name a file with the authority that signed it as lift_wing.ca_file in the models file"
)
ELSEWHERE = "start it, or name another address with --lift-wing or in the models file"
NO_SERVICE = (
    "404, no such service or model; correct the namespace, service or wikis in the models file, "
    "or write enabled: false"
)
NO_JAVA = (
    "java is not on the PATH; install a JDK 11 or 17, for instance: apt-get install openjdk-17-jdk-headless"
)

Row = tuple[str, str]


class _JobManager(Handler):
    def do_GET(self) -> None:  # noqa: N802 (the name that http.server calls)
        body = orjson.dumps(self.server_of.told.get(self.path, {"errors": ["Not found"]}))
        self.send_response(200 if self.path in self.server_of.told else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class JobManager(LoopbackServer):
    """Answers as the JobManager of a cluster without jobs."""

    handler, path = _JobManager, ""

    def __init__(self, version: str = "1.19.1", free: int = 2, jobs: tuple[Any, ...] = ()) -> None:
        super().__init__()
        self.told = {
            "/config": {"flink-version": version},
            "/overview": {"slots-available": free},
            "/jobs/overview": {"jobs": jobs},
        }
        self.address = self.url.removeprefix("http://")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """It creates no topics by itself."""
    with SecureKafka(tmp_path_factory.mktemp("kafka"), "secret") as broker:
        broker.create_topics(
            *(f"{datacenter}.{stream}" for datacenter in ("eqiad", "codfw") for stream in STREAMS)
        )
        yield broker


@pytest.fixture(scope="module")
def lift_wing() -> Iterator[SimulatedLiftWing]:
    with SimulatedLiftWing() as running:
        yield running


@pytest.fixture(scope="module")
def secure_lift_wing(kafka: SecureKafka) -> Iterator[SimulatedLiftWing]:
    """With the certificate of the broker's authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(kafka.folder / "broker.pem")
    with SimulatedLiftWing(tls=context) as running:
        yield running


@dataclass(frozen=True)
class Case:
    """A command line, and what is told of each thing."""

    options: Mapping[str, object]
    told: Mapping[str, Row]

    def asked(self, **options: object) -> Case:
        return replace(self, options={**self.options, **options})

    def expected(self, **told: Row) -> Case:
        return replace(self, told={**self.told, **told})

    @property
    def words(self) -> list[str]:
        return [
            "check",
            *(
                word
                for name, value in self.options.items()
                for word in (f"--{name.replace('_', '-')}", str(value))
            ),
        ]


@pytest.fixture
def well(kafka: SecureKafka, lift_wing: SimulatedLiftWing, tmp_path: Path) -> Case:
    """With which a stream can start."""
    models, state = models_file(tmp_path, lift_wing.url), tmp_path / "state"
    told = {
        "models": ("ok", f"2 models, 3 endpoints of {models}"),
        "java": ("ok", str(shutil.which("java"))),
        "jar": ("ok", str(JAR)),
        "kafka": ("ok", f"the broker at {kafka.address} lets us in"),
        "topics": ("ok", "2 to read, 6 to write"),
        "lift wing": ("ok", f"3 endpoints at {lift_wing.url}"),
        "schemas": ("ok", "/error/2.1.0, /mediawiki/revision/score/3.0.0"),
        "state": ("ok", str(state / "revision-scores")),
    }
    return Case({"kafka": kafka.address, "models": models, "state": state}, told)


def models_file(
    folder: Path, url: str, more: str = "", namespace: str = "revscoring-editquality-goodfaith", key: str = ""
) -> Path:
    file = folder / "models.yaml"
    file.write_text(MODELS.format(url=url, more=more, namespace=namespace, key=key))
    return file


def lines(out: str) -> tuple[dict[str, Row], str]:
    """What is told of each thing, and the last line."""
    *rows, last = out.splitlines()
    told = [re.split("  +", row, maxsplit=2) for row in rows]
    assert len({thing for _, thing, _ in told}) == len(told)
    return {thing: (state, text) for state, thing, text in told}, last


def check(capsys: pytest.CaptureFixture[str], case: Case, code: int, last: str) -> None:
    assert main(case.words) == code
    out, err = capsys.readouterr()
    assert lines(out) == (case.told, last)
    assert err == ""


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


def broker_is_down(address: str) -> dict[str, Row]:
    why = f"{address}/bootstrap: Connect to ipv4#{address} failed: Connection refused"
    return {
        "kafka": ("wrong", f"--kafka: no broker answers at {address} ({why}); start it, or name another"),
        "topics": ("unseen", "not looked at: no broker tells of the 2 to read and the 6 to write"),
    }


def test_a_topic_that_is_missing(capsys: pytest.CaptureFixture[str], well: Case, kafka: SecureKafka) -> None:
    missing = topics_are_missing(kafka, "eqiad.none", "eqiad.mediawiki.revision-score")
    check(
        capsys,
        well.asked(input_topics="eqiad.none", combined=5).expected(**missing),
        1,
        "1 of 8 things is wrong",
    )


def topics_are_missing(kafka: SecureKafka, *topics: str) -> dict[str, Row]:
    create = (
        f"for topic in {' '.join(topics)}; do kafka-topics.sh --bootstrap-server {kafka.address} "
        "--create --topic $topic; done"
    )
    return {
        "topics": (
            "wrong",
            f"--kafka: the broker at {kafka.address} has no topic {', '.join(topics)}; create what is "
            f"missing: {create}",
        )
    }


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


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def port_is_taken(port: int) -> dict[str, Row]:
    return {
        "metrics": (
            "wrong",
            f"--metrics-port: expected a free port, got {port} (Address already in use); name another, or "
            "end who has it",
        )
    }


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


def no_service(lift_wing: SimulatedLiftWing) -> dict[str, Row]:
    return {
        "lift wing": (
            "wrong",
            f"1 of 3 endpoints at {lift_wing.url} (enwiki-goodfaith.elsewhere.wikimedia.org): {NO_SERVICE}",
        )
    }


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


def not_writable(state: Path) -> dict[str, Row]:
    text = (
        f"--state: nothing can be written in {state}/revision-scores: Not a directory; make that "
        "possible, or name another folder"
    )
    return {"state": ("wrong", text)}


@pytest.fixture(scope="module")
def without_schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages without the schema of failures."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("pipeline", "transforms", "schemas"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "schemas" / "jsonschema" / "error" / "2.1.0.yaml").unlink()
    (folder / "runners" / "flink" / "target").mkdir(parents=True)
    (folder / "runners" / "flink" / "target" / JAR.name).symlink_to(JAR)
    return folder


def schema_is_missing(folder: Path) -> dict[str, Row]:
    text = (
        f"no schema /error/2.1.0 in {folder}/schemas/jsonschema, for mediawiki.revision-score.error; "
        "install revision-scores again"
    )
    return {"jar": ("ok", f"{folder}/runners/flink/target/{JAR.name}"), "schemas": ("wrong", text)}


def in_folder(folder: Path, words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with the packages that are there."""
    command = [sys.executable, "-m", "pipeline", *words]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def test_a_schema_that_is_missing(well: Case, without_schema: Path) -> None:
    done = in_folder(without_schema, well.words)
    assert (lines(done.stdout), done.stderr) == (
        (well.expected(**schema_is_missing(without_schema)).told, "1 of 8 things is wrong"),
        "",
    )
    assert done.returncode == 1


# Flink


def on(cluster: JobManager, well: Case) -> Case:
    """Some server takes the place of the Python workers."""
    rows: dict[str, Row] = {
        "flink": ("ok", f"1.19.1 at {cluster.address}"),
        "slots": ("ok", "2 free, 1 needed"),
        "workers": ("ok", f"somebody answers at {cluster.address}"),
    }
    return well.asked(flink=cluster.address, workers=cluster.address).expected(**rows)


def other_version(cluster: JobManager) -> dict[str, Row]:
    text = (
        f"--flink: expected Flink 1.19.1, which the jar has, at {cluster.address}, got 1.20.0; name a "
        "cluster of 1.19.1"
    )
    return {"flink": ("wrong", text)}


def test_a_cluster_that_is_well(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    with JobManager() as cluster:
        check(capsys, on(cluster, well), 0, WELL)


def test_a_flink_of_another_version(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    with JobManager("1.20.0") as cluster:
        check(capsys, on(cluster, well).expected(**other_version(cluster)), 1, "1 of 11 things is wrong")


def test_a_cluster_without_room_and_without_workers(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    nobody = free_port()
    with JobManager(free=0) as cluster:
        told = on(cluster, well).asked(workers=f"127.0.0.1:{nobody}")
        no_slots = (
            f"--flink: expected as many free slots at {cluster.address} as are needed, 1, got 0; "
            "start a TaskManager there, or end a job"
        )
        start = f"start some: python -m pipeline.flink.worker_pool --port {nobody}"
        no_workers = (
            f"--workers: no Python workers answer at 127.0.0.1:{nobody} (Connection refused); {start}"
        )
        check(
            capsys,
            told.expected(slots=("wrong", no_slots), workers=("wrong", no_workers)),
            1,
            "2 of 11 things are wrong",
        )


def test_a_job_that_a_new_stream_takes_over_has_room(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    with JobManager(free=0, jobs=({"jid": "1", "name": "revision-scores", "state": "RUNNING"},)) as cluster:
        taken_over = ("ok", "0 free, and those of the job revision-scores, which a new stream takes over")
        check(capsys, on(cluster, well).expected(slots=taken_over), 0, WELL)


def test_what_is_no_cluster(
    capsys: pytest.CaptureFixture[str], well: Case, lift_wing: SimulatedLiftWing
) -> None:
    nobody, other = f"127.0.0.1:{free_port()}", lift_wing.url.removeprefix("http://")
    for address, said in (
        (nobody, f"no JobManager answers at {nobody}"),
        (other, f"what answers at {other} is no JobManager"),
    ):
        told = well.asked(flink=address, workers=other, metrics_port=9249).expected(
            flink=("wrong", f"--flink: {said}; start one, for instance: python -m runners.local_flink"),
            slots=("unseen", "not looked at: no JobManager answers"),
            workers=("ok", f"somebody answers at {other}"),
            metrics=(
                "skipped",
                "not looked at: --metrics-port does nothing with --flink, where the cluster's "
                "settings say it",
            ),
        )
        check(capsys, told, 1, "1 of 12 things is wrong, 1 could not be looked at")


@pytest.mark.parametrize(
    ("options", "slots"),
    [
        ([], 1),
        (["--parallelism=4"], 4),
        (["--parallelism", "4"], 4),
        (["--parallelism=4", "--x=y", "--parallelism=2"], 2),
    ],
)
def test_the_slots_of_a_job(options: list[str], slots: int) -> None:
    assert parallelism(options) == slots


# All at once


def test_all_that_can_be_wrong_at_once(
    well: Case,
    kafka: SecureKafka,
    lift_wing: SimulatedLiftWing,
    secure_lift_wing: SimulatedLiftWing,
    without_schema: Path,
    tmp_path: Path,
    taken_port: int,
) -> None:
    """Beside the topics, which a broker that is down would hide, and the port, which is of a Flink inside the
    command."""
    models = all_wrong(tmp_path, kafka, lift_wing, secure_lift_wing)
    words = well.asked(input_topics="eqiad.none", metrics_port=taken_port, state=models / "state").words
    assert all_told(without_schema, words, tmp_path) == [
        f"wrong  models     {UNKNOWN_KEY.format(models)}",
        f"wrong  java       {NO_JAVA}",
        f"ok     jar        {without_schema}/runners/flink/target/{JAR.name}",
        f"ok     kafka      the broker at {kafka.address} lets us in",
        f"wrong  topics     {topics_are_missing(kafka, 'eqiad.none')['topics'][1]}",
        f"wrong  lift wing  2 of 3 endpoints at {secure_lift_wing.url} (enwiki-damaging, frwiki-damaging): "
        f"{NO_AUTHORITY}",
        f"wrong  lift wing  {no_service(lift_wing)['lift wing'][1]}",
        f"wrong  schemas    {schema_is_missing(without_schema)['schemas'][1]}",
        f"wrong  state      {not_writable(models / 'state')['state'][1]}",
        f"wrong  metrics    {port_is_taken(taken_port)['metrics'][1]}",
        "7 of 9 things are wrong",
    ]


def test_all_that_can_be_wrong_at_once_with_a_cluster(
    well: Case,
    kafka: SecureKafka,
    lift_wing: SimulatedLiftWing,
    secure_lift_wing: SimulatedLiftWing,
    without_schema: Path,
    tmp_path: Path,
    taken_port: int,
) -> None:
    """With a broker that is down, which hides the topics, and a Flink of another version, which has its
    metrics elsewhere."""
    models, nobody = all_wrong(tmp_path, kafka, lift_wing, secure_lift_wing), f"127.0.0.1:{free_port()}"
    with JobManager("1.20.0") as cluster:
        where = well.asked(
            kafka=nobody,
            flink=cluster.address,
            workers=cluster.address,
            state=models / "state",
            metrics_port=taken_port,
        )
        told = all_told(without_schema, where.words, tmp_path)
    assert told == [
        f"wrong    models     {UNKNOWN_KEY.format(models)}",
        f"wrong    java       {NO_JAVA}",
        f"ok       jar        {without_schema}/runners/flink/target/{JAR.name}",
        f"wrong    kafka      {broker_is_down(nobody)['kafka'][1]}",
        f"unseen   topics     {broker_is_down(nobody)['topics'][1]}",
        f"wrong    lift wing  2 of 3 endpoints at {secure_lift_wing.url} (enwiki-damaging, "
        f"frwiki-damaging): {NO_AUTHORITY}",
        f"wrong    lift wing  {no_service(lift_wing)['lift wing'][1]}",
        f"wrong    schemas    {schema_is_missing(without_schema)['schemas'][1]}",
        f"wrong    state      {not_writable(models / 'state')['state'][1]}",
        "skipped  metrics    not looked at: --metrics-port does nothing with --flink, where the cluster's "
        "settings say it",
        f"wrong    flink      {other_version(cluster)['flink'][1]}",
        "ok       slots      2 free, 1 needed",
        f"ok       workers    somebody answers at {cluster.address}",
        "7 of 12 things are wrong, 1 could not be looked at",
    ]


def all_wrong(
    folder: Path, kafka: SecureKafka, lift_wing: SimulatedLiftWing, secure_lift_wing: SimulatedLiftWing
) -> Path:
    """A models file with an unknown key, another authority than Lift Wing's and, of a model that is served
    elsewhere, a namespace that is not there."""
    more, key = f", ca_file: {kafka.folder / 'another-ca.pem'}", f", url: {lift_wing.url}, concurency: 3"
    return models_file(folder, secure_lift_wing.url, more, namespace="elsewhere", key=key)


def all_told(packages: Path, words: list[str], without_java: Path) -> list[str]:
    done = in_folder(packages, words, PATH=str(without_java))
    assert (done.stderr, done.returncode) == ("", 1)
    return done.stdout.splitlines()


# What else there is to say


def test_another_stream_in_the_same_place(
    capsys: pytest.CaptureFixture[str], well: Case, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "revision-scores"
    state.mkdir(parents=True)
    with alone(state):
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


def test_a_lift_wing_that_is_down_is_one_line(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    asked = well.asked(
        models=ROOT / "pipeline" / "models.yaml",
        lift_wing=url,
        only="damaging,goodfaith",
        wikis="enwiki,frwiki,dewiki",
    )
    why = f"Failed to connect to {url.removeprefix('http://')}: Could not connect to server; {ELSEWHERE}"
    told = {
        "models": ("ok", f"2 models, 6 endpoints of {ROOT / 'pipeline' / 'models.yaml'}"),
        "lift wing": (
            "wrong",
            f"6 of 6 endpoints at {url} (dewiki-damaging, enwiki-damaging, frwiki-damaging, ...): {why}",
        ),
    }
    check(capsys, asked.expected(**told), 1, "1 of 8 things is wrong")


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


def test_a_models_file_that_says_nothing_hides_only_what_it_would_say(
    capsys: pytest.CaptureFixture[str], well: Case, tmp_path: Path
) -> None:
    none = tmp_path / "none.yaml"
    hidden = ("unseen", "not looked at: the models file does not say")
    told = well.asked(models=none).expected(
        models=(
            "wrong",
            f"{none}: expected a file that can be read, got: No such file or directory; check the path",
        ),
        topics=hidden,
        schemas=hidden,
        **{"lift wing": ("unseen", "not looked at: the models file does not say where it is")},
    )
    check(capsys, told, 1, "1 of 8 things is wrong, 3 could not be looked at")


def test_each_problem_of_a_models_file_is_a_line(
    capsys: pytest.CaptureFixture[str], well: Case, lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    file = models_file(tmp_path, lift_wing.url, ", calls: 3", key=", concurency: 3")
    assert main(well.words) == 1
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(f"wrong  models     {file}: lift_wing.calls: expected one of ")
    assert second == f"wrong  models     {UNKNOWN_KEY.format(file)}"
    assert [row.split()[0] for row in rest[:-1]] == ["ok"] * 7
    assert rest[-1] == "1 of 8 things is wrong"


def test_options_that_do_not_go_together(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    wrong = "--runner: a stream runs on Flink; name a cluster with --flink HOST:PORT, or leave both out"
    check(
        capsys,
        well.asked(runner="DirectRunner").expected(options=("wrong", wrong)),
        1,
        "1 of 9 things is wrong",
    )
    wrong = "--combined: expected a number of seconds above 0, got 0"
    check(capsys, well.asked(combined=0).expected(options=("wrong", wrong)), 1, "1 of 9 things is wrong")


def test_options_that_nobody_has(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    wrong = "unknown option --metrics-prot; neither this command nor Beam has it"
    check(capsys, well.asked(metrics_prot=1).expected(options=("wrong", wrong)), 1, "1 of 9 things is wrong")
    assert main([*well.words, "--max_bundle_tme=1"]) == 0
    told, last = lines(capsys.readouterr().out)
    text = "unknown option --max_bundle_tme to Beam, but Flink's runner may know it, and tells at the start"
    assert told == well.expected(options=("skipped", f"not looked at: {text}")).told
    assert last == f"{WELL}, 1 skipped"


def test_wrong_use_of_the_command_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check"])
    assert ended.value.code == 2
    assert (
        capsys.readouterr().err
        == "revision-scores check: the following arguments are required: --kafka; see revision-scores "
        "check --help\n"
    )
