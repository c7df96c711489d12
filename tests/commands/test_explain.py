"""`explain` as people run it: which calls follow from each event, and why not."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.main import main
from tests.support.commands import EDITS, command, events_file
from tests.support.event_tables import write
from tests.support.events import ROOT, edit

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
