"""What is told of a stack trace, and where Flink is noted to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.flink import flink_address
from pipeline.flink.causes import root_cause

IN_PYTHON = """\
java.lang.RuntimeException: Failed to finish remote bundle
\tat x
Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 5: \
Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1, in x
ValueError: inner

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3
transforms.sink.Refused: EventGate refuses \x1b[31mx [while running 'x']

\tat java.base/java.util
"""


@pytest.mark.parametrize(
    ("trace", "cause"),
    [
        (
            "java.lang.RuntimeException: x\n\tat y\nCaused by: java.io.IOException: no: room\n\tat z\n",
            "no: room",
        ),
        ("java.lang.OutOfMemoryError", "java.lang.OutOfMemoryError"),
        ("plain words: here", "plain words: here"),
        ("", "?"),
        (IN_PYTHON, "transforms.sink.Refused: EventGate refuses  [31mx"),
        ("java.lang.RuntimeException: Traceback (most recent call last):", "?"),
        (
            "a.b.C: x\nCaused by: java.io.IOException: Multiplexer hanging up",
            "a Python worker process died (Multiplexer hanging up)",
        ),
        (
            "a.b.C: CANCELLED: call already cancelled. Use x",
            "a Python worker process died (CANCELLED: call already cancelled. Use x)",
        ),
        (
            "a.b.C: Could not acquire the minimum required resources.",
            "no TaskManager has a free slot (Could not acquire the minimum required resources.)",
        ),
    ],
)
def test_of_a_trace_the_last_words_are_told(trace: str, cause: str) -> None:
    assert root_cause(trace) == cause


def test_the_address_of_flink_is_noted_and_a_strange_note_is_none(tmp_path: Path) -> None:
    assert flink_address.read(tmp_path) == ""
    flink_address.write(tmp_path, "127.0.0.1:8081")
    assert flink_address.read(tmp_path) == "127.0.0.1:8081"
    (tmp_path / "flink.address").write_bytes(b"\xff http://evil/")
    assert flink_address.read(tmp_path) == ""
    flink_address.write(tmp_path / "nowhere", "a:1")
