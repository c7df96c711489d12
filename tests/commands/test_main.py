"""The commands as people run them: what they print, what they leave behind, their exit codes, and one line
for each wrong use."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.main import main
from pipeline.process.child_process import free_port
from tests.support.commands import EDITS, command, events_file, everything_in, wrong_use
from tests.support.event_tables import write
from tests.support.events import ROOT, edit

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


# explain

LARGE = orjson.dumps(edit(comment="x" * 400_000))


def test_explain_says_which_calls_follow(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["explain", str(events_file(tmp_path / "in.jsonl", edit(page_namespace=1)))]) == 0
    calls = [
        {
            "model": model,
            "url": f"https://inference.discovery.wmnet:30443/v1/models/enwiki-{model}:predict",
            "host": f"enwiki-{model}.revscoring-editquality-{model}.wikimedia.org",
            "stream": f"mediawiki.revision-score-{model}",
        }
        for model in ("damaging", "goodfaith")
    ]
    assert orjson.loads(capsys.readouterr().out) == {
        "id": "040c4b69-317a-43e2-8c9c-474446e23df7",
        "database": "enwiki",
        "rev_id": 1040920135,
        "matched": ["damaging", "goodfaith"],
        "calls": calls,
        "skipped": None,
        "refused": {
            "articletopic": "on: wanted main_edit, which this is not",
            "drafttopic": "on: wanted page_creation, which this is not",
        },
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"[]", (None, None, None, [], "expected a JSON object, got list")),
        (
            b"{}",
            (
                None,
                None,
                None,
                [],
                "no $schema; expected /mediawiki/revision/create/1.x or 2.x, or /mediawiki/page/change/1.x",
            ),
        ),
        (
            orjson.dumps({"meta": 7, "database": 8, "rev_id": "x", "$schema": 9}),
            (
                None,
                8,
                "x",
                [],
                "unknown $schema 9; expected /mediawiki/revision/create/1.x or 2.x, or "
                "/mediawiki/page/change/1.x",
            ),
        ),
        (
            orjson.dumps(edit(rev_id="7", page_namespace=1, meta={"id": "i"})),
            ("i", "enwiki", "7", ["damaging", "goodfaith"], "rev_id: expected a whole number, got '7'"),
        ),
        (
            orjson.dumps(edit(page_namespace=1, meta={"domain": "canary"})),
            (None, "enwiki", 1040920135, ["damaging", "goodfaith"], "canary event"),
        ),
        (
            orjson.dumps(edit(meta={"id": "i"})),
            ("i", "enwiki", 1040920135, ["damaging", "goodfaith", "articletopic"], "no meta.stream"),
        ),
        (
            orjson.dumps(edit(meta={"id": "i", "stream": "s"}, database="commonswiki")),
            ("i", "commonswiki", 1040920135, [], "no model wants it"),
        ),
        (
            orjson.dumps(edit(meta={"id": "i", "stream": "s"}, database="nowiki2")),
            ("i", "nowiki2", 1040920135, [], "no model wants it"),
        ),
        (
            LARGE,
            (
                "040c4b69-317a-43e2-8c9c-474446e23df7",
                "enwiki",
                1040920135,
                ["damaging", "goodfaith", "articletopic"],
                f"expected an event of at most 400000 bytes, got {len(LARGE)}",
            ),
        ),
    ],
)
def test_explain_says_why_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, line: bytes, expected: tuple[Any, ...]
) -> None:
    assert main(["explain", str(events_file(tmp_path / "in.jsonl", line))]) == 0
    explained = orjson.loads(capsys.readouterr().out)
    assert explained.pop("calls") == []
    del explained["refused"]
    assert tuple(explained.values()) == expected


def test_explain_of_the_capture_selects_what_it_should() -> None:
    done = command("explain", EDITS)
    assert (done.returncode, done.stderr) == (0, "")
    explained = [orjson.loads(line) for line in done.stdout.splitlines()]
    calls = Counter(call["model"] for each in explained for call in each["calls"])
    assert (len(explained), calls.total()) == (11_344, 25_636)
    assert calls == {
        "damaging": 6_987,
        "goodfaith": 6_987,
        "itemquality": 4_850,
        "itemtopic": 4_548,
        "articletopic": 1_599,
        "reverted": 502,
        "articlequality": 85,
        "drafttopic": 78,
    }
    assert all((each["skipped"] is None) == bool(each["calls"]) for each in explained)


def test_explain_reads_standard_input_and_takes_only_some() -> None:
    done = command(
        "explain",
        "-",
        "--only",
        "goodfaith,articletopic",
        "--wikis=enwiki",
        stdin=orjson.dumps(edit()) + b"\n\n" + orjson.dumps(edit(database="frwiki")),
    )
    assert [orjson.loads(line)["matched"] for line in done.stdout.splitlines()] == [
        ["goodfaith", "articletopic"],
        [],
    ]


def test_explain_ends_quietly_when_its_reader_has_enough() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", "explain", str(EDITS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith(b'{"id":"c08de234')
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


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


def test_explain_reads_what_regenerate_reads_and_nothing_else(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("a.parquet", "a.avro", "a.jsonl.gz"):
        assert (
            main(
                ["explain", str(write(tmp_path / name, [edit(), edit(rev_timestamp="2023-02-31T00:00:00Z")]))]
            )
            == 0
        )
        first, second = map(orjson.loads, capfd.readouterr().out.splitlines())
        assert (len(first["calls"]), first["skipped"]) == (3, None)
        assert (second["calls"], second["skipped"]) == (
            [],
            "cannot become a score: rev_timestamp must be date-time",
        )
    (tmp_path / "picture").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert main(["explain", str(tmp_path / "picture")]) == 2
    why = r"not Parquet, Avro or JSON lines; begins with b'\x89PNG\r\n\x1a\n\x00\x00\x00\r'"
    assert capfd.readouterr() == ("", f"revision-scores explain: cannot read {tmp_path}/picture: {why}\n")
