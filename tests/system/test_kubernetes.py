"""The Kubernetes form of the stream: valid for the operator, and of one mind with the rest of this
repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.flink import settings as flink_settings
from pipeline.flink.snapshots import Snapshots
from runners.programs import run
from tests.support.events import ROOT

FOLDER = ROOT / "runners" / "kubernetes"
SCHEMA = FOLDER / "target" / "META-INF" / "fabric8" / "flinkdeployments.flink.apache.org-v1.yml"
POM = (ROOT / "runners" / "flink" / "pom.xml").read_text(encoding="utf-8")
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def deployment() -> dict[str, Any]:
    documents = yaml.safe_load_all((FOLDER / "flink-deployment.yaml").read_text(encoding="utf-8"))
    (found,) = [document for document in documents if document["kind"] == "FlinkDeployment"]
    return dict(found)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    definition = yaml.load(SCHEMA.read_text(encoding="utf-8"), yaml.CSafeLoader)
    (version,) = definition["spec"]["versions"]
    return {
        **version["schema"]["openAPIV3Schema"],
        "apiVersion": f"{definition['spec']['group']}/{version['name']}",
    }


TYPES = {
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "array": list,
    "object": Mapping,
}


def problems(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """What Kubernetes would refuse, and what it would silently leave out: fields that the schema does not
    have."""
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str):
            yield f"{path}: expected a number or text, got {value!r}"
    elif not isinstance(value, TYPES[schema["type"]]) or (
        isinstance(value, bool) and schema["type"] != "boolean"
    ):
        yield f"{path}: expected {schema['type']}, got {value!r}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: expected one of {schema['enum']}, got {value!r}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from problems(item, schema["items"], f"{path}[{index}]")
    elif isinstance(value, Mapping):
        yield from (f"{path}.{name}: missing" for name in schema.get("required", ()) if name not in value)
        known = schema.get("properties", {})
        for name, item in value.items():
            if (inner := known.get(name, schema.get("additionalProperties"))) is not None:
                yield from problems(item, inner, f"{path}.{name}")
            elif not schema.get("x-kubernetes-preserve-unknown-fields"):
                yield f"{path}.{name}: unknown"


def test_the_operator_takes_the_deployment(deployment: dict[str, Any], schema: dict[str, Any]) -> None:
    assert deployment["apiVersion"] == schema["apiVersion"]
    assert list(problems(deployment["spec"], schema["properties"]["spec"], "spec")) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (
            "upgradeMode",
            "savepoints",
            "spec.job.upgradeMode: expected one of ['last-state', 'savepoint', 'stateless'], got "
            "'savepoints'",
        ),
        ("paralelism", 2, "spec.job.paralelism: unknown"),
        ("parallelism", "2", "spec.job.parallelism: expected integer, got '2'"),
    ],
)
def test_the_operator_does_not_take_a_wrong_one(
    deployment: dict[str, Any], schema: dict[str, Any], path: str, value: Any, problem: str
) -> None:
    spec = {**deployment["spec"], "job": {**deployment["spec"]["job"], path: value}}
    assert list(problems(spec, schema["properties"]["spec"], "spec")) == [problem]


def test_flink_has_the_settings_of_the_stream(deployment: dict[str, Any]) -> None:
    settings = deployment["spec"]["flinkConfiguration"]
    wanted = {**flink_settings.of_job(Snapshots(Path("/state"))), **flink_settings.of_metrics(9249)}
    wanted["state.checkpoints.dir"] = "file:///state/checkpoints"
    assert {name: settings.get(name) for name in wanted} == wanted


def test_the_job_is_written_by_a_command_that_there_is(deployment: dict[str, Any], tmp_path: Path) -> None:
    """It gets as far as the broker, which there is none of here."""
    (container,) = deployment["spec"]["jobManager"]["podTemplate"]["spec"]["initContainers"]
    program, *arguments = container["command"]
    models = ROOT / "pipeline" / "models.yaml"
    properties = tmp_path / "kafka.properties"
    properties.touch()
    replaced = {
        "--models": models,
        "--kafka": "127.0.0.1:1",
        "--kafka-properties": properties,
        "--state": tmp_path / "state",
        "--job-jar": tmp_path / "job.jar",
    }
    here = [
        f"{name}={replaced.get(name, value)}" if value else name
        for name, _, value in (argument.partition("=") for argument in arguments)
    ]
    done = run("pipeline", *here)
    assert (program, done.returncode) == ("revision-scores", 2)
    assert done.stderr.startswith("revision-scores stream: --kafka: no broker answers at 127.0.0.1:1 (")


def test_what_goes_from_container_to_container_meets(deployment: dict[str, Any]) -> None:
    spec = deployment["spec"]
    job_manager, task_manager = (spec[part]["podTemplate"]["spec"] for part in ("jobManager", "taskManager"))
    (written,) = [
        argument.partition("=")[2]
        for argument in job_manager["initContainers"][0]["command"]
        if argument.startswith("--job-jar=")
    ]
    (job_manager_itself,) = job_manager["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in job_manager_itself["volumeMounts"]}
    here = {mount["name"]: mount["mountPath"] for mount in job_manager["initContainers"][0]["volumeMounts"]}
    assert spec["job"]["jarURI"] == "local://" + written.replace(here["job"], mounts["job"])
    (workers,) = task_manager["containers"]
    assert "--port=50000" in workers["command"], "the default of stream --workers"
    assert {workers["image"], job_manager["initContainers"][0]["image"]} == {spec["image"]}


def test_each_process_that_enters_kafka_has_the_file_that_says_how(deployment: dict[str, Any]) -> None:
    """The Python workers read and write, and the job is written after a look at the topics."""
    spec = deployment["spec"]
    assert spec["flinkConfiguration"]["kubernetes.operator.pod-template.merge-arrays-by-name"] == "true"
    shared, job_manager, task_manager = (
        part["podTemplate"]["spec"] for part in (spec, spec["jobManager"], spec["taskManager"])
    )
    (properties,) = [
        value
        for name, _, value in (each.partition("=") for each in job_manager["initContainers"][0]["command"])
        if name == "--kafka-properties"
    ]
    folder = str(Path(properties).parent)
    for container in (*shared["containers"], *job_manager["initContainers"], *task_manager["containers"]):
        assert {"name": "kafka-client", "mountPath": folder, "readOnly": True} in container["volumeMounts"]
    assert {"name": "kafka-client", "secret": {"secretName": "revision-scores-kafka-client"}} in shared[
        "volumes"
    ]


def test_the_image_is_made_of_what_is_here() -> None:
    copied = [
        source for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for source in line.split()
    ]
    assert copied == [
        "setup.py",
        "pyproject.toml",
        "pipeline",
        "transforms",
        "schemas",
        "runners/flink/target/flink-job-server.jar",
    ]
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_image_and_jar_are_of_one_flink(deployment: dict[str, Any]) -> None:
    (version,) = re.findall(r"<flink.version>(.+)</flink.version>", POM)
    assert re.findall(r"^FROM (.+)$", DOCKERFILE, re.MULTILINE) == [f"flink:{version}-java17"]
    assert deployment["spec"]["flinkVersion"] == f"v{version.rpartition('.')[0].replace('.', '_')}"
