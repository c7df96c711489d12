"""Others' texts on a terminal."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path

import orjson
import pytest

from pipeline.console.terminal import PlainText, print_plain_text, steering
from pipeline.main import main
from runners.programs import ROOT
from transforms.events.printable import in_lines, in_one_line

STEERING = "\x1b]0;x\x07 \x9b2J \x7f \u202e \u2028 \r \x00 \ud800"


def test_what_steers_a_terminal_is_shown_as_what_it_is() -> None:
    assert (
        in_one_line(f"a\n\t b  {STEERING}", 100)
        == r"a b \u001b]0;x\u0007 \u009b2J \u007f \u202e \u0000 \ud800"
    )
    assert in_lines("a\n\tb \r\x1b") == "a\n\tb \\u000d\\u001b"
    assert in_one_line("می‌خواهم 👩‍🚀 Ünï", 100) == "می‌خواهم 👩‍🚀 Ünï"
    assert in_one_line("x" * 1000, 10) == "x" * 10


def test_json_stays_json() -> None:
    value = {"a": "\x7f\x9b\u202e\x1b[2J"}
    shown = in_lines(orjson.dumps(value).decode())
    assert shown.isprintable()
    assert orjson.loads(shown) == value


def test_nothing_that_a_command_prints_steers_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    print_plain_text()
    print_plain_text()
    print("\x1b[2J")
    logging.getLogger("of_others").warning("\x1b]0;x\x07")
    assert isinstance(sys.stderr, PlainText)
    try:
        raise RuntimeError("\x9b")
    except RuntimeError:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    assert out.getvalue() == "\\u001b[2J\n"
    assert r"\u009b" in err.getvalue()
    assert not any(letter in err.getvalue() + out.getvalue() for letter in "\x1b\x07\x9b")
    steering(sys.stdout).write("\x1b[K")
    assert out.getvalue().endswith("\x1b[K")


def test_a_command_shows_a_hostile_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = tmp_path / "events.jsonl"
    event = orjson.loads((ROOT / "tests" / "data" / "page_change_1.3.0.json").read_bytes())
    event["meta"]["id"] = event["wiki_id"] = "\x1b[2J\x9b"
    events.write_bytes(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
    assert main(["explain", str(events)]) == 0
    shown = capsys.readouterr().out
    assert shown.rstrip("\n").isprintable()
    assert orjson.loads(shown)["id"] == "\x1b[2J\x9b"
