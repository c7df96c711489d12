"""The whole stream with EventGate behind it, on a real broker and Flink."""

from __future__ import annotations

from pathlib import Path

import pytest
from eventgate import EventGateServer
from test_on_flink import Topics, edits, stream, wait_until, wanted

from runners.local_kafka import LocalKafka
from runners.simulated_lift_wing import SimulatedLiftWing
from transforms.models import Configuration

pytestmark = pytest.mark.flink


def test_scores_go_to_eventgate_alone(kafka: LocalKafka, configuration: Configuration, tmp_path: Path) -> None:
    topics = Topics(kafka, "eventgate", configuration)
    lines = edits(2000, 2100)
    streams = [*(model.stream for model in configuration.models.values()), configuration.failure_stream]
    with SimulatedLiftWing() as lift_wing, EventGateServer(streams, [None, "broker", "lost", "some", "cut"]) as gate:
        with stream(kafka, lift_wing, topics, tmp_path, "--output", f"eventgate={gate.url}") as program:
            topics.send([*lines, b"no event"], topics.inputs[0])
            expected = {key[1:] for key in wanted(lines, "eqiad", configuration)}
            wait_until(lambda: len(gate.events) >= len(expected) + 1)
            assert program.stop() == 0
        scored = [event for event in gate.events.values() if "scores" in event]
        assert {(*event["scores"], event["database"], event["rev_id"]) for event in scored} == expected
        assert len(scored) == len(expected)
        assert [event["message"][:8] for event in gate.events.values() if "message" in event] == ["not JSON"]
