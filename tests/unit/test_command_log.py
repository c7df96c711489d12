"""The lines of a command: printable, as text or as JSON, and none of them twice a minute."""

from __future__ import annotations

import json
import logging

import pytest

from pipeline.console import command_log


def test_lines_are_printable_and_not_told_twice_a_minute() -> None:
    clock = [0.0]
    quiet = command_log.NotTwiceAMinute(lambda: clock[0])
    records = [logging.LogRecord("x", logging.WARNING, "", 1, text, None, None) for text in ("a", "a", "b")]
    assert [bool(quiet.filter(record)) for record in records] == [True, False, True]
    clock[0] = 61.0
    assert quiet.filter(records[0])
    assert command_log.printable("a\x1b[31m\n\n b\x00\u202ec") == "a [31m b  c"


def test_json_lines_have_the_fields_of_ecs(capsys: pytest.CaptureFixture[str]) -> None:
    command_log.configure("stream", "json", "info")
    try:
        command_log.warn("Kafka \x1b is away")
        command_log.say("1 events")
    finally:
        command_log.configure("stream", "text", "info")
    out, err = (json.loads(text) for text in capsys.readouterr())
    assert (err["message"], err["log.level"], err["service"]["name"]) == (
        "Kafka   is away",
        "warning",
        "revision-scores",
    )
    assert {"@timestamp", "ecs.version"} <= set(err)
    assert out["message"] == "1 events"
