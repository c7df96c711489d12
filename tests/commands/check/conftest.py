"""What a stream needs, all of it well, and what is wrong in one thing."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.flink.job_server import JAR
from runners.secure_kafka import SecureKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.checked import STREAMS, Case, models_file
from tests.support.events import ROOT


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


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


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
