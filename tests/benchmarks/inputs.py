"""What the benchmarks work on: the capture of real edits, as long as wanted, and a models file with the limits under comparison."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]
CAPTURE = ROOT / "runners" / "data" / "edits_2023-01.jsonl.gz"
_NEXT_ROUND = 10_000_000_000  # above every revision of today, so that no (wiki, rev_id) comes twice


def events(count: int) -> Iterator[dict[str, Any]]:
    """The capture from its beginning, again and again with other revisions."""
    with gzip.open(CAPTURE, "rb") as capture:
        lines = capture.readlines()
    for index in range(count):
        event = orjson.loads(lines[index % len(lines)])
        event["rev_id"] += index // len(lines) * _NEXT_ROUND
        yield event


def write_events(file: Path, count: int) -> Path:
    """`count` events as JSON lines, gzip as it is quickest: to unpack is part of the work, to pack is not."""
    with gzip.open(file, "wb", compresslevel=1) as output:
        for event in events(count):
            output.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
    return file


def write_models(file: Path, in_flight: int, concurrency: int) -> Path:
    """The shipped models with one limit for all endpoints together and another for each."""
    text = (ROOT / "pipeline" / "models.yaml").read_text(encoding="utf-8")
    text = re.sub(r"\bconcurrency: \d+", f"concurrency: {concurrency}", re.sub(r"\bin_flight: \d+", f"in_flight: {in_flight}", text))
    file.write_text(text, encoding="utf-8")
    return file
