"""Stream mode as it runs: a real Kafka broker, the real Flink, and Lift Wing over HTTP."""

from __future__ import annotations

import os
import signal
from collections import Counter
from datetime import datetime
from pathlib import Path

import orjson
import pytest

import schemas
from pipeline.config.models_file import load
from runners.local_kafka import LocalKafka
from runners.programs import run
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.streams import (
    Topics,
    edits,
    java_children,
    mine,
    models_file,
    stream,
    wait_for_checkpoint,
    wait_until,
    wanted,
)
from transforms.models.model import Configuration


@pytest.fixture(scope="module")
def configuration(shipped: Configuration) -> Configuration:
    return shipped


pytestmark = pytest.mark.flink

NO_JSON = "not JSON: Input is a zero-length, empty document: line 1 column 1 (char 0)"


def test_each_selected_score_comes_once_and_each_bad_event_fails_with_its_reason(
    kafka: LocalKafka, configuration: Configuration, tmp_path: Path
) -> None:
    topics = Topics(kafka, "once", configuration)
    in_eqiad, in_codfw = edits(0, 400), edits(400, 700)
    rejected = orjson.loads(in_eqiad[0])["rev_id"]  # plwiki: damaging and goodfaith
    create = b'{"$schema":"/mediawiki/revision/create/2.0.0","database":"enwiki",'
    garbage: dict[bytes | None, str] = {
        b"not json": "not JSON: invalid literal, expected 'null': line 1 column 1 (char 0)",
        b"": NO_JSON,
        None: NO_JSON,  # a tombstone
        b'{"nul": "\x00"}': "not JSON: unexpected control character in string: line 1 column 10 (char 9)",
        b'"\xff"': "expected a JSON object, got str",
        b"[" * 100_000: "not JSON: depth limit exceeded: line 1 column 1026 (char 1025)",
        create
        + b'"rev_id":1,"comment":'
        + b"[" * 201
        + b"0"
        + b"]" * 201
        + b"}": "expected JSON of at most 200 levels",
        create + b'"rev_id":9223372036854775808}': "rev_id: expected a whole number, got 9223372036854775808",
        create + b'"rev_id":1.5}': "rev_id: expected a whole number, got 1.5",
        create + b'"rev_id":-1}': "rev_id: expected a whole number, got -1",
        create
        + b'"rev_id":null,"meta":null,"performer":null}': "rev_id: expected a whole number, got nothing",
        create
        + b'"rev_id":1,"comment":"'
        + b"x" * 5_000_000
        + b'"}': "expected an event of at most 400000 bytes, got 5000090; the original was cut",
        b'["a list"]': "expected a JSON object, got list",
        b'{"database":"enwiki","rev_id":1}': "no $schema; expected /mediawiki/revision/create/1.x or 2.x, "
        "or /mediawiki/page/change/1.x",
    }
    kafka.configure_topic(topics.inputs[0], "max.message.bytes", "6000000")
    canary = (
        b'{"$schema": "/mediawiki/revision/create/2.0.0", "meta": {"domain": "canary"}, "database": '
        b'"enwiki", "rev_id": 123}'
    )
    # of no stream; of no model's wiki
    left_out = [
        create + b'"rev_id":1}',
        create.replace(b"enwiki", b"enwikki") + b'"rev_id":1,"meta":{"stream":"s"}}',
    ]
    scores = wanted(in_eqiad, "eqiad", configuration) | wanted(in_codfw, "codfw", configuration)
    unscored = {("eqiad", "damaging", "plwiki", rejected)}

    with SimulatedLiftWing(latency=0.02) as lift_wing, stream(kafka, lift_wing, topics, tmp_path) as program:
        lift_wing.control(model="damaging", wiki="plwiki", rev_id=rejected, mode="status", status=400)
        program.wait_for("^reading")  # by then the broker takes large messages too
        topics.send([*garbage, *left_out, canary, *in_eqiad], topics.inputs[0])
        topics.send(in_codfw, topics.inputs[1])
        of_nothing = 1  # the tombstone and the empty message are one failure by their id, and may come as one
        topics.wait_for(lambda topics: len(topics.ids()) >= len(scores) + len(garbage) - of_nothing)
        calls = lift_wing.calls()
        second = run(
            "pipeline",
            "stream",
            "--kafka",
            kafka.address,
            "--input-topics",
            topics.inputs[0],
            "--state",
            str(tmp_path),
        )
        code = program.stop(signal.SIGTERM)

    topics.close()
    assert topics.scored() == Counter(scores - unscored)
    reasons = {failure["raw_event"]: failure["message"] for failure in topics.failures()}
    assert reasons.pop(orjson.dumps(orjson.loads(in_eqiad[0])).decode()).startswith(
        "400: The MW API does not have any info related to the rev-id"
    )
    assert reasons == {
        (line or b"").decode("utf-8", "replace")[: 312_505 if len(line or b"") > 1_000_000 else None]: why
        for line, why in garbage.items()
    }
    assert calls == dict.fromkeys((key[1:] for key in scores), 1)
    for message in topics.messages:
        event = orjson.loads(message.value())
        schemas.validator(event["$schema"])(event)
        assert message.key() is None
        assert message.timestamp()[1] == milliseconds(event["meta"]["dt"])
    assert (code, program.lines[2:]) == (
        0,
        ["stopping with a savepoint\n", "stopped with a savepoint; a new run goes on from it\n"],
    )
    assert java_children(tmp_path) == []
    place = tmp_path / "revision-scores"
    line = (
        f"revision-scores stream: --state: another stream works in {place}; stop it, or name another "
        "--group or --state\n"
    )
    assert (second.returncode, second.stderr) == (2, line)


def milliseconds(dt: str) -> int:
    return round(datetime.strptime(dt, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() * 1000)


def test_a_hung_model_holds_up_no_other_and_a_killed_stream_loses_nothing(
    kafka: LocalKafka, configuration: Configuration, tmp_path: Path
) -> None:
    topics = Topics(kafka, "killed", configuration)
    before, after = edits(1000, 1200), edits(1200, 1300)
    scores = wanted([*before, *after], "eqiad", configuration)
    of_hung = {key for key in scores if key[1] == "damaging"}
    mine = {key[2:] for key in scores}

    def came(topics: Topics) -> Counter[tuple[str, str, str, int]]:
        return Counter({key: count for key, count in topics.scored().items() if key[2:] in mine})

    with SimulatedLiftWing(latency=0.02) as lift_wing:
        lift_wing.control(model="damaging", mode="hang")
        with stream(kafka, lift_wing, topics, tmp_path) as program:
            topics.send(before, topics.inputs[0])
            topics.wait_for(
                lambda topics: set(came(topics)) >= wanted(before, "eqiad", configuration) - of_hung
            )
            assert not set(came(topics)) & of_hung
            wait_for_checkpoint(tmp_path)
            os.kill(program.process.pid, signal.SIGKILL)
            program.process.wait()
        topics.send(after, topics.inputs[0])
        with stream(kafka, lift_wing, topics, tmp_path) as program:
            topics.wait_for(lambda topics: set(came(topics)) >= scores - of_hung)
            lift_wing.clear()
            topics.wait_for(lambda topics: set(came(topics)) == scores)
            assert program.stop(signal.SIGTERM) == 0

    topics.close()
    ids = {
        (orjson.loads(message.value())["meta"]["id"])
        for message in topics.messages
        if message.topic().endswith(("damaging", "goodfaith"))
    }
    assert len(ids) == len({key for key in topics.scored() if key[1] in ("damaging", "goodfaith")}), (
        "a repeat has the id of the first"
    )
    assert not [failure for failure in topics.failures() if "hung" in failure["message"]]


def test_a_topic_that_refuses_holds_up_no_other_and_gets_its_scores_after_a_restart(
    kafka: LocalKafka, configuration: Configuration, tmp_path: Path
) -> None:
    topics = Topics(kafka, "refused", configuration)
    lines = edits(2000, 2100)
    scores = wanted(lines, "eqiad", configuration)
    refusing = "eqiad.mediawiki.revision-score-articletopic"
    of_refusing = {key for key in scores if key[1] == "articletopic"}

    def came(topics: Topics) -> Counter[tuple[str, str, str, int]]:
        return Counter({key: count for key, count in topics.scored().items() if key in scores})

    kafka.configure_topic(refusing, "cleanup.policy", "compact")  # which takes no message without a key
    with SimulatedLiftWing(latency=0.02) as lift_wing:
        with stream(kafka, lift_wing, topics, tmp_path) as program:
            program.wait_for("^reading")
            topics.send(lines, topics.inputs[0])
            topics.wait_for(lambda topics: set(came(topics)) == scores - of_refusing)
            assert program.stop(signal.SIGTERM) == 0
        kafka.configure_topic(refusing, "cleanup.policy", "delete")
        with stream(kafka, lift_wing, topics, tmp_path) as program:
            program.wait_for("^reading")
            topics.wait_for(lambda topics: set(came(topics)) == scores)
            assert program.stop(signal.SIGTERM) == 0
        assert len(lift_wing.calls()) == len(scores)
    topics.close()
    assert {count for key, count in came(topics).items() if key not in of_refusing} == {1}


def test_a_changed_models_file_loses_nothing_that_waits(kafka: LocalKafka, tmp_path: Path) -> None:
    """First damaging is stopped and goodfaith answers 503; then goodfaith is gone and damaging runs."""
    damaging, goodfaith, drafttopic = (
        f"  {model}: {{namespace: {namespace}, wikis: [enwiki], concurrency: %d}}\n"
        for model, namespace in [
            ("damaging", "revscoring-editquality-damaging"),
            ("goodfaith", "revscoring-editquality-goodfaith"),
            ("drafttopic", "revscoring-drafttopic"),
        ]
    )
    before = models_file(tmp_path / "before.yaml", damaging % 0 + goodfaith % 5)
    after = models_file(tmp_path / "after.yaml", damaging % 5 + drafttopic % 5)
    topics = Topics(kafka, "changed", load(before))
    lines = [line for line in edits(3000, 3600) if orjson.loads(line)["database"] == "enwiki"][:30]
    revisions = {orjson.loads(line)["rev_id"] for line in lines}
    first, second = lines[:20], lines[20:]
    with SimulatedLiftWing() as lift_wing:
        lift_wing.control(mode="status", model="goodfaith", status=503)
        with stream(kafka, lift_wing, topics, tmp_path, "--models", str(before)) as program:
            program.wait_for("^reading")
            topics.send(first, topics.inputs[0])
            wait_until(lambda: sum(of_model == "goodfaith" for of_model, _, _ in lift_wing.calls()) >= 5)
            wait_for_checkpoint(tmp_path)
            assert program.stop(signal.SIGTERM) == 0
        assert not [call for call in lift_wing.calls() if call[0] == "damaging"]
        topics.send(second, topics.inputs[0])
        with stream(kafka, lift_wing, topics, tmp_path, "--models", str(after)) as program:
            topics.wait_for(
                lambda topics: (
                    len({key[1:] for key in mine(topics, revisions) if key[1] == "damaging"}) == len(lines)
                )
            )
            topics.wait_for(
                lambda topics: (
                    len({key for key in mine(topics, revisions) if key[1] == "drafttopic"}) == len(second)
                )
            )
            topics.wait_for(
                lambda topics: (
                    len([failure for failure in topics.failures() if "any more" in failure["message"]])
                    == len(first)
                )
            )
            assert program.stop(signal.SIGTERM) == 0
    topics.close()
    gone = [failure for failure in topics.failures() if "any more" in failure["message"]]
    assert {failure["message"].partition(" (")[0] for failure in gone} == {
        "the models file has no goodfaith of enwiki any more"
    }
    assert {failure["error_type"] for failure in gone} == {"ScoreWithLiftWing/goodfaith"}
    assert {orjson.loads(failure["raw_event"])["rev_id"] for failure in gone} == {
        orjson.loads(line)["rev_id"] for line in first
    }


def test_an_event_that_comes_again_is_scored_once_if_wanted(
    kafka: LocalKafka, configuration: Configuration, tmp_path: Path
) -> None:
    topics = Topics(kafka, "repeated", configuration)
    lines = edits(4000, 4050)
    scores = wanted(lines, "eqiad", configuration)
    last = edits(4050, 4060)
    revisions = {key[3] for key in scores | wanted(last, "eqiad", configuration)}
    with (
        SimulatedLiftWing() as lift_wing,
        stream(kafka, lift_wing, topics, tmp_path, "--each-event-once") as program,
    ):
        program.wait_for("^reading")
        topics.send(lines, topics.inputs[0])
        topics.wait_for(lambda topics: set(mine(topics, revisions)) == scores)
        topics.send([*lines, *last], topics.inputs[0])
        topics.wait_for(
            lambda topics: set(mine(topics, revisions)) == scores | wanted(last, "eqiad", configuration)
        )
        assert program.stop(signal.SIGTERM) == 0
        assert set(lift_wing.calls().values()) == {1}
    topics.close()
    assert set(mine(topics, revisions).values()) == {1}
