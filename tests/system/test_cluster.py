"""Stream mode on a real Flink cluster, whose processes die one after the other."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from pathlib import Path

import orjson
import psutil
import pytest
import requests

from pipeline.config.models_file import load
from pipeline.process.child_process import free_port
from runners.local_kafka import LocalKafka
from runners.programs import LocalFlinkProgram, run
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.events import ROOT
from tests.support.streams import (
    Topics,
    edits,
    java_children,
    stream,
    wait_for_checkpoint,
    wait_until,
    wanted,
)
from transforms.models.model import Configuration

pytestmark = pytest.mark.flink

SHIPPED = (ROOT / "pipeline" / "models.yaml").read_text(encoding="utf-8")


def models_without(model: str, file: Path) -> Path:
    """The shipped models file without one of its models."""
    text, count = re.subn(rf"^  {model}:\n(?:    .*\n|\n)+", "", SHIPPED, flags=re.MULTILINE)
    assert count == 1
    file.write_text(text, encoding="utf-8")
    return file


def kill(cluster: LocalFlinkProgram, command: str) -> None:
    """kill -9 for the youngest process of the cluster with this in its command line."""
    found = [
        process
        for process in psutil.Process(cluster.process.pid).children(recursive=True)
        if command in " ".join(process.cmdline())
    ]
    max(found, key=lambda process: process.create_time()).kill()


def metric(port: int, name: str) -> list[tuple[str, float]]:
    """Each series of that name at a Prometheus reporter, its job_name and its value; none before there is a
    reporter."""
    try:
        lines = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text.splitlines()
    except requests.ConnectionError:
        return []
    series = [re.fullmatch(rf'{name}{{.*job_name="(\w+)".*}} (\S+)', line) for line in lines]
    return [(match[1], float(match[2])) for match in series if match]


def test_nothing_is_lost_when_processes_of_a_cluster_die_and_when_models_change(
    kafka: LocalKafka, tmp_path: Path
) -> None:
    files = [
        models_without("articletopic", tmp_path / "first.yaml"),
        models_without("reverted", tmp_path / "second.yaml"),
    ]
    first, second = map(load, files)
    topics, metrics_port, state = Topics(kafka, "cluster", first), free_port(), tmp_path / "state"
    sent: set[tuple[str, str, str, int]] = set()

    def send(lines: list[bytes], configuration: Configuration) -> set[tuple[str, str, str, int]]:
        topics.send(lines, topics.inputs[0])
        scores = wanted(lines, "eqiad", configuration)
        sent.update(scores)
        return scores

    with (
        SimulatedLiftWing(latency=0.2) as lift_wing,
        LocalFlinkProgram(tmp_path / "cluster", "--metrics-port", str(metrics_port)) as cluster,
    ):
        where = ["--flink", cluster.address, "--workers", cluster.workers]
        with stream(kafka, lift_wing, topics, state, "--models", str(files[0]), *where) as program:
            of_damaging = [key for key in send(edits(0, 60), first) if key[1] == "damaging"]
            calls = "flink_taskmanager_job_task_operator_ScoreWithLiftWing_calls_damaging"
            wait_until(lambda: metric(metrics_port + 1, calls) == [("revision_scores", len(of_damaging))])
            for number, victim in enumerate(
                ("TaskManagerRunner", "SdkHarness", "StandaloneSessionClusterEntrypoint"), 1
            ):
                wait_for_checkpoint(state)
                send(edits(60 * number, 60 * number + 60), first)
                kill(cluster, victim)
                topics.wait_for(lambda topics: set(topics.scored()) == sent)
            # of the job's successor: without a JobManager its TaskManager goes on for some seconds
            wait_for_checkpoint(state)
            around_crashes = set(sent)
            log = (tmp_path / "cluster" / "task-manager-1.log").read_text()
            addresses = re.findall(
                r"Trying to start actor system, external address (127\.0\.0\.1:[1-9]\d*),", log
            )
            assert len(set(addresses)) == len(addresses) > 1, "a successor is at an address of its own"

            lift_wing.control(model="damaging", mode="hang")
            answered = {key for key in send(edits(240, 320), first) if key[1] != "damaging"}
            topics.wait_for(lambda topics: set(topics.scored()) >= answered)
            for _ in range(2):  # an answered request leaves the state with the next look at it, which is soon
                wait_for_checkpoint(state)
            assert program.stop() == 0
        assert program.lines[-2:] == [
            "stopping with a savepoint\n",
            "stopped with a savepoint; a new run goes on from it\n",
        ]

        lift_wing.clear()
        of_new_model = {key for key in send(edits(320, 500), second) if key[1] == "articletopic"}
        with stream(kafka, lift_wing, topics, state, "--models", str(files[1]), *where) as program:
            topics.wait_for(lambda topics: set(topics.scored()) >= sent)
            assert program.stop() == 0

    topics.close()
    assert set(topics.scored()) == sent
    later = Counter({key: count for key, count in topics.scored().items() if key not in around_crashes})
    assert later == Counter(sent - around_crashes), "after an orderly stop none comes twice"
    assert len({orjson.loads(message.value())["meta"]["id"] for message in topics.messages}) == len(sent), (
        "a repeat has the id of the first"
    )
    assert of_new_model
    assert topics.failures() == []


def test_the_job_can_be_written_for_a_cluster_of_its_own(
    kafka: LocalKafka, shipped: Configuration, tmp_path: Path
) -> None:
    topics, jar = Topics(kafka, "written", shipped), tmp_path / "job.jar"
    topics.close()
    where = [
        "--kafka",
        kafka.address,
        "--input-topics",
        topics.inputs[0],
        "--state",
        str(tmp_path),
        "--group",
        "scores",
        "--job-jar",
        str(jar),
    ]
    done = run("pipeline", "stream", *where)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"wrote {jar}\n", "")
    with zipfile.ZipFile(jar) as file:
        assert b"Main-Class: org.apache.beam.runners.flink.FlinkPipelineRunner" in file.read(
            "META-INF/MANIFEST.MF"
        )
        assert orjson.loads(file.read("BEAM-PIPELINE/pipeline-manifest.json")) == {"defaultJobName": "scores"}
        options = orjson.loads(file.read("BEAM-PIPELINE/scores/pipeline-options.json"))
    wanted_options = {
        "flink_master": "[auto]",
        "environment_type": "EXTERNAL",
        "environment_config": "127.0.0.1:50000",
        "fail_on_checkpointing_errors": False,
    }
    assert {name: options[f"beam:option:{name}:v1"] for name in wanted_options} == wanted_options
    assert java_children(tmp_path) == []
