"""Where the Flink of a stream is, noted beside its state: an embedded one is at another port with each
start."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

_NOTE = "flink.address"


def write(state: Path, address: str) -> None:
    """Writes HOST:PORT of the JobManager. Where that cannot be written, --flink has to tell whoever looks."""
    with suppress(OSError):
        new = state / f"{_NOTE}.new"
        new.write_text(f"{address}\n", encoding="utf-8")
        new.rename(state / _NOTE)


def read(state: Path, since: float = 0.0) -> str:
    """Returns the address; nothing where none was written, or none since then, in seconds since the epoch."""
    try:
        if (state / _NOTE).stat().st_mtime < since:
            return ""
        text = (state / _NOTE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if re.fullmatch(r"[^\s/]+:\d+", text) else ""
