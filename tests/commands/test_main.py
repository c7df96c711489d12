"""The commands as people run them: the list of models, help, and one line for each wrong use."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from pipeline.command_table import COMMANDS
from pipeline.main import main
from pipeline.process.child_process import free_port
from tests.support.commands import EDITS, command, events_file, everything_in, wrong_use
from tests.support.events import edit

SHORT = """\
lift_wing: {{url: "{url}", timeout_s: 1, max_age_s: 1}}
streams: {{score: "score-{{model}}", failure: score-error}}
models:
  damaging: {{namespace: revscoring-editquality-damaging, wikis: [enwiki, frwiki]}}
  goodfaith: {{namespace: revscoring-editquality-goodfaith, wikis: [enwiki]}}
"""


# models


def test_models_lists_every_endpoint() -> None:
    done = command("models")
    assert (done.returncode, done.stderr) == (0, "")
    header, *rows, empty, last = done.stdout.splitlines()
    assert re.split("  +", header) == ["wiki", "model", "active", "on", "calls at once", "stream", "endpoint"]
    assert (len(rows), empty) == (109, "")
    assert Counter(row.split()[2] for row in rows) == {"yes": 92, "no": 17}
    assert last == "109 endpoints, 92 active, called at https://inference.discovery.wmnet:30443"


def test_models_of_one_wiki(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "enwiki", "--lift-wing", "http://localhost:8080"]) == 0
    _, *rows, _, last = capsys.readouterr().out.splitlines()
    assert [row.split()[:4] for row in rows] == [
        ["enwiki", "articlequality", "no", "edit"],
        ["enwiki", "articletopic", "yes", "main_edit"],
        ["enwiki", "damaging", "yes", "edit"],
        ["enwiki", "draftquality", "no", "page_creation"],
        ["enwiki", "drafttopic", "yes", "page_creation"],
        ["enwiki", "goodfaith", "yes", "edit"],
    ]
    assert rows[2].split()[-2:] == [
        "mediawiki.revision-score-damaging",
        "enwiki-damaging.revscoring-editquality-damaging.wikimedia.org/v1/models/enwiki-damaging:predict",
    ]
    assert last == "6 endpoints, 4 active, called at http://localhost:8080"


def test_models_narrowed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    models = tmp_path / "models.yaml"
    models.write_text(SHORT.format(url="http://lift.wing"))
    assert main(["models", "--models", str(models)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 endpoints, 3 active, called at http://lift.wing"


# Wrong use


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("regenerate --input {none} --output {out}", "--input: no such file or directory: {none}"),
        (
            "regenerate --input {empty} --output {out}",
            "--input: no event files in {empty}: expected Parquet, Avro or JSON lines",
        ),
        (
            "regenerate --input {file} --output {file}",
            "--output: {file} is the input; name another directory",
        ),
        ("regenerate --input {file} --output {other}", "--output: {other} is no directory"),
        (
            "regenerate --input {file} --output {other}/out",
            "--output: {other}/out cannot be written to: Not a directory",
        ),
        (
            "regenerate --input {file} --output {out} --only damagin",
            "--only: no model is called 'damagin' in the models file; did you mean damaging?",
        ),
        (
            "regenerate --input {file} --output {out} --only=damaging,",
            "--only: no model is called '' in the models file; there are articlequality, articletopic, ",
        ),
        (
            "regenerate --input {file} --output {out} --wikis enwki",
            "--wikis: no wiki is called 'enwki' in the models file; did you mean enwiki?",
        ),
        (
            "regenerate --input {file} --output {out} --lift-wing inference",
            "--lift-wing: expected an address such as https://inference.discovery.wmnet:30443, got "
            "'inference'",
        ),
        ("regenerate --input {file} --output {out} --overwirte", "unknown option --overwirte; "),
        ("regenerate --input {file} --output {out} stray", "unknown option stray; "),
        (
            "regenerate --input {file} --output {out} -- --runer=DirectRunner",
            "unknown option --runer; did you mean --runner?",
        ),
        (
            "regenerate --input {file} --output {out} --direct_num_workers=two",
            "Beam option argument --direct_num_workers: invalid int value: 'two'",
        ),
        (
            "regenerate --input {file}",
            "the following arguments are required: --output; see revision-scores regenerate --help",
        ),
        ("regenerate --input {file} --output {out} --format csv", "argument --format: invalid choice: 'csv'"),
        ("explain {none}", "cannot read {none}: No such file or directory"),
        ("explain {empty}", "cannot read {empty}: Is a directory"),
        (
            "explain {file} --runner=DirectRunner",
            "unknown option --runner=DirectRunner; see revision-scores explain --help",
        ),
        *(
            (
                f"{command} --wikis enwiki",
                f"unknown option --wikis; see revision-scores {command.split()[0]} --help",
            )
            for command in (
                "tables {out}",
                "combine {out}",
                "compact {out}",
                "publish {out} --catalog lake",
                "sanitize {out} --output {none}",
                "scores {out} --wiki enwiki --rev-id 1",
            )
        ),
        ("models enwki", "no model serves 'enwki'; did you mean enwiki?"),
        (
            "models --models {none}",
            "{none}: expected a file that can be read, got: No such file or directory; check the path",
        ),
        ("stream --kafka {nobody}", "--kafka: no broker answers at {nobody} ("),
        (
            "stream --kafka {nobody} --input-topics mediawiki.revision-create",
            "--input-topics: expected topics that begin with eqiad. or codfw., got "
            "'mediawiki.revision-create'",
        ),
        (
            "stream --kafka {nobody} --flink {nobody}",
            "--flink: no JobManager answers at {nobody}; start one, for instance: python -m "
            "runners.local_flink",
        ),
        (
            "stream --kafka {nobody} --runner=DirectRunner",
            "--runner: a stream runs on Flink; name a cluster with --flink HOST:PORT, or leave both out",
        ),
        ("stream --kafka {nobody} --only x,damaging", "--only: no model is called 'x' in the models file; "),
        (
            "regenerate --input {file} --output {out} --runner=FlinkRunner --flink_master=",
            "--flink_master: expected a value, got ''",
        ),
        ("stream", "the following arguments are required: --kafka; see revision-scores stream --help"),
    ],
)
def test_a_wrong_use_is_one_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, arguments: str, said: str
) -> None:
    places = {name: str(tmp_path / name) for name in ("none", "empty", "out", "file", "other")} | {
        "nobody": f"127.0.0.1:{free_port()}"
    }
    (tmp_path / "empty").mkdir()
    places["file"] = str(events_file(tmp_path / "file.jsonl", edit()))
    (tmp_path / "other").write_text("kept")
    before = everything_in(tmp_path)
    assert wrong_use(*arguments.format(**places).split()) == 2
    out, told = capfd.readouterr()
    assert out == ""
    assert told.startswith(f"revision-scores {arguments.split()[0]}: {said.format(**places)}")
    assert told.count("\n") == 1
    assert everything_in(tmp_path) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_value_that_is_empty_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--lift-wing "$URL"` where the variable is not set would ask another Lift Wing than was meant."""
    module = import_module(f"pipeline.commands.{name.replace('-', '_')}")
    for each in fields(module.Options):
        flag = each.metadata["flags"][0]
        assert each.default != "", "argparse gives a default that is a text to the type, which refuses it"
        if "action" not in each.metadata["settings"]:
            assert wrong_use(name, *([flag] if flag.startswith("-") else []), "") == 2
            assert "expected a value, got ''" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "revision-scores: the following arguments are required: COMMAND; see revision-scores --help\n"),
        (["score"], "revision-scores: argument COMMAND: invalid choice: 'score'"),
        (
            ["regenerate", "--input", "/none", "--output", "/nowhere/out"],
            "revision-scores regenerate: --input: no such file or directory: /none\n",
        ),
    ],
)
def test_a_process_ends_with_the_line_and_2(arguments: list[str], said: str) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def test_a_damaged_gzip_is_told_after_what_came_before(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    whole = EDITS.read_bytes()
    for name, damaged, why in [
        (
            "cut.jsonl.gz",
            whole[:200_000],
            "Compressed file ended before the end-of-stream marker was reached",
        ),
        (
            "broken.jsonl.gz",
            whole[:200_000] + b"\xff" * 1000 + whole[201_000:],
            "Error -3 while decompressing data: ",
        ),
    ]:
        (tmp_path / name).write_bytes(damaged)
        assert main(["explain", str(tmp_path / name)]) == 2
        out, told = capfd.readouterr()
        assert out.count("\n") > 500
        assert told.startswith(f"revision-scores explain: cannot read {tmp_path / name}: {why}")
        assert told.count("\n") == 1


def test_all_errors_of_a_models_file_are_told_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    models = tmp_path / "models.yaml"
    models.write_text(SHORT.format(url="lift.wing").replace("[enwiki, frwiki]", "[enwki]"))
    assert main(["models", "--models", str(models)]) == 2
    out, told = capsys.readouterr()
    assert out == ""
    assert told.splitlines() == [
        f"revision-scores models: {models}: lift_wing.url: expected an http or https address without user, "
        "query or fragment, got 'lift.wing'; "
        "write url: https://inference.discovery.wmnet:30443",
        f"{models}: models.damaging.wikis[0]: expected a database name of the table of wikis, got 'enwki'; "
        "did you mean enwiki?",
    ]


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("stream", "check", "regenerate", "explain", "models", "demo"):
        with pytest.raises(SystemExit) as done:
            main([name, "--help"])
        assert done.value.code == 0
        assert f"example: revision-scores {name}" in " ".join(capsys.readouterr().out.split())
