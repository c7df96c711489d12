"""The whole stream with EventGate behind it, on a real broker and Flink."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pipeline.config.models_file import load
from runners.local_kafka import LocalKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.eventgate import EventGateServer
from tests.support.page_changes import MODELS, change
from tests.support.streams import Topics, edits, stream, wait_until, wanted
from transforms.models.model import Configuration
from transforms.models.selection import Selection

pytestmark = pytest.mark.flink


def test_scores_go_to_eventgate_alone(
    kafka: LocalKafka, configuration: Configuration, tmp_path: Path
) -> None:
    topics = Topics(kafka, "eventgate", configuration)
    lines = edits(2000, 2100)
    streams = [*(model.stream for model in configuration.models.values()), configuration.failure_stream]
    with (
        SimulatedLiftWing() as lift_wing,
        EventGateServer(streams, [None, "broker", "lost", "some", "cut"]) as gate,
    ):
        with stream(kafka, lift_wing, topics, tmp_path, "--output", f"eventgate={gate.url}") as program:
            topics.send([*lines, b"no event"], topics.inputs[0])
            expected = {key[1:] for key in wanted(lines, "eqiad", configuration)}
            wait_until(lambda: len(gate.events) >= len(expected) + 1)
            assert program.stop() == 0
        scored = [event for event in gate.events.values() if "scores" in event]
        assert {(*event["scores"], event["database"], event["rev_id"]) for event in scored} == expected
        assert len(scored) == len(expected)
        assert [event["message"][:8] for event in gate.events.values() if "message" in event] == ["not JSON"]


def test_page_changes_stream_as_edits_do(
    kafka: LocalKafka, configuration: Configuration, tmp_path: Path
) -> None:
    topics, changing = Topics(kafka, "changes", configuration), load(MODELS)
    changes = [change(rev_id, wiki) for rev_id, wiki in enumerate(("enwiki", "frwiki", "zh_yuewiki") * 10, 1)]
    selection = Selection(changing.models)
    expected = {
        (endpoint.model, event["wiki_id"], event["revision"]["rev_id"])
        for event in changes
        for endpoint in selection.endpoints(event)
    }
    with (
        SimulatedLiftWing() as lift_wing,
        EventGateServer([model.stream for model in changing.models.values()]) as gate,
    ):
        with stream(
            kafka, lift_wing, topics, tmp_path, "--models", str(MODELS), "--output", f"eventgate={gate.url}"
        ) as program:
            topics.send([orjson.dumps(event) for event in changes], topics.inputs[0])
            wait_until(lambda: len(gate.events) >= len(expected))
            assert program.stop() == 0
        found = {
            (event["predicted_classification"]["model_name"], event["wiki_id"], event["revision"]["rev_id"])
            for event in gate.events.values()
        }
        assert (found, len(gate.events)) == (expected, len(expected))
        assert all(
            event["meta"]["stream"] == changing.models[event["predicted_classification"]["model_name"]].stream
            for event in gate.events.values()
        )
