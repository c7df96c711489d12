"""What several test files share: a Lift Wing, the shipped models pointed at it, and events."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pipeline.config.models_file import load
from runners.local_kafka import LocalKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.events import ROOT, at
from transforms.models.model import Configuration

# processes that live for seconds: a third less CPU in all
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: (item.get_closest_marker("flink") is None, "system" not in item.path.parts))


@pytest.fixture(scope="session")
def shipped() -> Configuration:
    return load(ROOT / "pipeline" / "models.yaml")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, shipped: Configuration) -> Iterator[LocalKafka]:
    """A real broker with the topics of all scores and failures."""
    streams = [*(model.stream for model in shipped.models.values()), shipped.failure_stream]
    with LocalKafka(tmp_path_factory.mktemp("kafka")) as broker:
        broker.create_topics(
            *(f"{datacenter}.{stream}" for datacenter in shipped.datacenters for stream in streams)
        )
        yield broker


@pytest.fixture
def lift_wing() -> Iterator[SimulatedLiftWing]:
    with SimulatedLiftWing() as running:
        yield running


@pytest.fixture
def configuration(shipped: Configuration, lift_wing: SimulatedLiftWing) -> Configuration:
    return at(shipped, lift_wing.url)
