"""The command `check`: no fault hides another, and a wrong use is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.flink.job_server import JAR
from pipeline.main import main
from pipeline.process.child_process import free_port
from runners.secure_kafka import SecureKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.checked import (
    ELSEWHERE,
    NO_AUTHORITY,
    NO_JAVA,
    UNKNOWN_KEY,
    WELL,
    Case,
    JobManager,
    broker_is_down,
    check,
    in_folder,
    lines,
    models_file,
    no_service,
    not_writable,
    other_version,
    port_is_taken,
    schema_is_missing,
    topics_are_missing,
)
from tests.support.events import ROOT

pytestmark = pytest.mark.kafka


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
