"""The legacy event of all models, in both modes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

import schemas
from runners.local_kafka import LocalKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import command, events_file, rows, wrong_use
from tests.support.events import edit, request
from tests.support.streams import Topics, edits, stream
from transforms.combine_scores import CombineInState
from transforms.elements import Failure, OutputEvent, Score
from transforms.events.combined_events import SCHEMAS, Part, combined_score
from transforms.events.score_events import ScoreStream, revision_score
from transforms.models.model import Configuration, Endpoint, Model

NOW = "2026-01-01T00:00:00Z"
TABLE = "mediawiki_revision_score"


def part(model: str, **changes: Any) -> Part:
    return Part(
        model,
        revision_score(
            edit(**changes),
            ScoreStream(model, f"of {model}"),
            Score("1", False, {"true": 0.25, "false": 0.75}),
            NOW,
        ),
    )


@pytest.mark.parametrize("version", ["2.0.0", "3.0.0"])
def test_scores_and_errors_of_a_revision_are_one_event(version: str) -> None:
    source = edit()
    event = combined_score(
        [part("damaging"), Part("goodfaith", source, "ScoreWithLiftWing", "404: gone"), part("articletopic")],
        SCHEMAS[version],
        NOW,
    )
    schemas.validator(SCHEMAS[version])(event)
    assert list(event["scores"]) == ["articletopic", "damaging"]
    assert event["errors"] == {
        "goodfaith": {
            "model_name": "goodfaith",
            "model_version": "unknown",
            "type": "ScoreWithLiftWing",
            "message": "404: gone",
        },
    }
    assert (event["meta"]["stream"], event["meta"]["request_id"]) == (
        "mediawiki.revision-score",
        source["meta"]["request_id"],
    )
    assert (event.get("dt"), event["meta"]["dt"]) == (
        (None, source["rev_timestamp"]) if version == "2.0.0" else (source["rev_timestamp"], NOW)
    )


def test_what_is_empty_is_left_out_and_a_score_counts_more_than_a_failure() -> None:
    failed = Part("damaging", edit(), "timeout", "no score within 5 s")
    assert "errors" not in combined_score([failed, part("damaging")], SCHEMAS["3.0.0"], NOW)
    assert "scores" not in combined_score([failed], SCHEMAS["3.0.0"], NOW)


@pytest.mark.parametrize(
    "wrong", [{"meta": 7}, {"performer": "x"}, {"page_id": "seven"}, {"rev_timestamp": "yesterday"}]
)
def test_failures_of_an_event_that_is_none_make_no_event_and_disturb_no_other(wrong: dict[str, Any]) -> None:
    with pytest.raises(schemas.InvalidEventError):
        combined_score(
            [Part("damaging", edit(**wrong), "BuildRevisionScore", "invalid")], SCHEMAS["3.0.0"], NOW
        )
    models = {
        name: Model(name, f"of {name}", {"enwiki": Endpoint("enwiki", name, "n", "edit", 5)})
        for name in ("damaging", "goodfaith")
    }
    outcomes = [
        Failure(
            "BuildRevisionScore", "invalid", orjson.dumps(edit(**wrong, rev_id=7)).decode(), "eqiad", name
        )
        for name in models
    ]
    good = [
        OutputEvent("s", part(name, rev_id=8).event, "eqiad", None, request(name, edit(rev_id=8)))
        for name in models
    ]
    with TestPipeline(runner=FnApiRunner()) as p:
        scores, failures = (
            p | name >> beam.Create(some, reshuffle=False)
            for name, some in (("Scores", good), ("Failures", outcomes))
        )
        found = (
            (scores, (failures,))
            | "CombineScores" >> CombineInState(models, SCHEMAS["3.0.0"], 60, lambda: NOW)
            | beam.Map(lambda event: event.body["rev_id"])
        )
        assert_that(found, equal_to([8]))


def test_combine_passes_over_what_no_event_can_be_made_of(
    lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    source = events_file(tmp_path / "in.jsonl", edit(rev_id=1), edit(rev_id=2, page_id="seven"))
    where = ["--output", tmp_path / "out", "--lift-wing", lift_wing.url, "--only", "damaging,goodfaith"]
    assert command("regenerate", "--input", source, *where).returncode == 1
    assert command("combine", tmp_path / "out").returncode == 0
    assert [row["rev_id"] for of_place in rows(tmp_path / "out" / TABLE).values() for row in of_place] == [1]


def comparable(event: Any) -> Any:
    meta = {name: value for name, value in event["meta"].items() if name != "dt"}
    return {name: value for name, value in event.items() if value not in ({}, [])} | {"meta": meta}


@pytest.mark.flink
def test_both_modes_give_the_same_events(
    kafka: LocalKafka, configuration: Configuration, tmp_path: Path
) -> None:
    topics, lines = Topics(kafka, "combined", configuration), edits(3000, 3120)
    combined = [f"{datacenter}.mediawiki.revision-score" for datacenter in configuration.datacenters]
    kafka.create_topics(*combined)
    found: list[Any] = []
    with SimulatedLiftWing() as lift_wing:
        lift_wing.control(
            mode="status",
            status=404,
            model="goodfaith",
            wiki="wikidatawiki",
            body={"error": "no such revision"},
        )
        lift_wing.control(mode="hang", model="itemtopic")
        source = tmp_path / "in.jsonl"
        source.write_bytes(b"\n".join(lines))
        with stream(kafka, lift_wing, topics, tmp_path / "state", "--combined", "10") as program:
            topics.send(lines, topics.inputs[0])
            topics.wait_for(
                lambda topics: (
                    len([message for message in topics.messages if message.topic() == combined[0]])
                    >= wanted(configuration, lines)
                )
            )
            assert program.stop() == 0
        found = [
            orjson.loads(message.value()) for message in topics.messages if message.topic() == combined[0]
        ]
        timed_out = {
            event["rev_id"]
            for event in found
            if "timeout" in {error["type"] for error in event.get("errors", {}).values()}
        }
        assert timed_out == {event["rev_id"] for event in found if "itemtopic" in event.get("errors", {})}
        assert timed_out
        lift_wing.clear()
        lift_wing.control(
            mode="status",
            status=404,
            model="goodfaith",
            wiki="wikidatawiki",
            body={"error": "no such revision"},
        )
        done = command(
            "regenerate", "--input", source, "--output", tmp_path / "out", "--lift-wing", lift_wing.url
        )
        assert (done.returncode, done.stderr) == (1, "")
    assert command("combine", tmp_path / "out").returncode == 0
    in_batch = {
        row["rev_id"]: comparable(row)
        for of_place in rows(tmp_path / "out" / TABLE).values()
        for row in of_place
    }
    assert set(Counter(event["rev_id"] for event in found).values()) == {1}
    assert {event["rev_id"] for event in found} == in_batch.keys()
    for event in found:
        if event["rev_id"] not in timed_out:
            assert comparable(event) == in_batch[event["rev_id"]] | {"$schema": event["$schema"]}


def wanted(configuration: Configuration, lines: list[bytes]) -> int:
    from transforms.models.selection import Selection

    selection = Selection(configuration.models)
    return len([line for line in lines if selection.endpoints(orjson.loads(line))])


def test_a_partition_that_waits_for_a_model_is_named(
    lift_wing: SimulatedLiftWing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    from pipeline.main import main

    source = events_file(tmp_path / "in.jsonl", *(edit(rev_id=rev_id) for rev_id in range(5)))
    where = ["--output", tmp_path / "out", "--lift-wing", lift_wing.url, "--only", "damaging,goodfaith"]
    assert command("regenerate", "--input", source, *where).returncode == 0
    (partition,) = [
        path.parent for path in (tmp_path / "out" / "mediawiki_revision_score_goodfaith").rglob("part-*")
    ]
    shutil.rmtree(partition)
    assert main(["combine", str(tmp_path / "out")]) == 1
    place = str(partition.relative_to(tmp_path / "out" / "mediawiki_revision_score_goodfaith"))
    assert (
        capsys.readouterr().out
        == f"{place}: waits for goodfaith; regenerate --resume\n{TABLE}: 0 partitions written, 0 in all\n"
    )
    assert command("regenerate", "--input", source, *where, "--resume").returncode == 0
    assert main(["combine", str(tmp_path / "out"), "--schema", "2.0.0"]) == 0
    assert main(["combine", str(tmp_path / "out"), "--schema", "2.0.0"]) == 0
    assert (
        capsys.readouterr().out
        == f"{TABLE}: 1 partition written, 1 in all\n{TABLE}: 0 partitions written, 1 in all\n"
    )
    assert {
        tuple(sorted(row["scores"]))
        for of_place in rows(tmp_path / "out" / TABLE).values()
        for row in of_place
    } == {("damaging", "goodfaith")}
    assert not list(tmp_path.glob(".out*"))
    assert wrong_use("combine", tmp_path / "nothing") == 2
