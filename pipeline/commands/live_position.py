"""What `live` says and writes: each score once, and how far the streams are, from which the next run goes
on."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import orjson

from pipeline.usage_error import UsageError
from transforms.connectors.console_sink import show
from transforms.connectors.eventstreams_position import Position
from transforms.datasets.manifests import now
from transforms.elements import OutputEvent

_TAIL_BYTES = 2_000_000  # of each file, in which a killed run may have written more than it had noted
_POSITION = "position.json"


class LiveOutput:
    """Shows scores on standard output, and writes them below `folder`, if there is one."""

    def __init__(self, folder: Path | None) -> None:
        """Reads which events are written already."""
        self.folder = folder
        self._written = _written_ids(folder) if folder else frozenset()

    def begin(self, since: str | None) -> Position:
        """Returns where to begin: at `since`, else where the last run stopped, else now; what is not noted
        yet is noted at once. Raises UsageError."""
        if self.folder and not since and (self.folder / _POSITION).exists():
            return _noted(self.folder / _POSITION)
        position = Position(since=since or now())
        self.note(position)
        return position

    def note(self, position: Position) -> None:
        """Writes how far the streams are, where there is a folder."""
        if self.folder:
            new = self.folder / f"{_POSITION}.new"
            new.write_bytes(orjson.dumps(dataclasses.asdict(position)))
            new.rename(self.folder / _POSITION)

    def show(self, event: OutputEvent) -> None:
        """Shows and writes an event, unless a run before wrote it."""
        if event.body["meta"]["id"] not in self._written:
            show(event, self.folder)


def say(text: str) -> None:
    """Prints a line on standard error."""
    print(text, file=sys.stderr, flush=True)


def _noted(file: Path) -> Position:
    try:
        return Position(**orjson.loads(file.read_bytes()))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"--output: {file} does not tell a place; say --since TIME, or remove it to begin now"
        ) from error


def _written_ids(folder: Path) -> frozenset[str]:
    """Returns the `meta.id`s at the end of each file, and cuts off what a killed run left of a line."""
    found: set[str] = set()
    for file in sorted(folder.glob("*.jsonl")):
        with file.open("r+b") as lines:
            size = lines.seek(0, 2)
            lines.seek(max(0, size - _TAIL_BYTES))
            tail = lines.read()
            if tail and not tail.endswith(b"\n"):
                lines.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
            whole = tail[: tail.rfind(b"\n") + 1].splitlines()
            for line in whole[1:] if size > _TAIL_BYTES else whole:
                found.add(orjson.loads(line)["meta"]["id"])
    return frozenset(found)
