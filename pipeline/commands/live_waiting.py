"""Edits that `live` has read and Lift Wing gave no score for yet: which endpoints owe them, and a file that
outlasts a run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from transforms.elements import SourceRecord
from transforms.lift_wing.retry_policy import LONGEST_REFUSED_S

MOST = 20_000  # that wait; some 3 KB each
_PROBES, _MOST_AT_ONCE = 1, 200
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 60.0
_WRITTEN_AFTER = 1_000  # that have gone since the file was written


@dataclass(frozen=True)
class WaitingEdit:
    """An event and the one model that has not scored it."""

    endpoint: str  # its name
    model: str
    original: str
    datacenter: str
    since: float  # seconds since the epoch

    def raw(self, partition: str) -> SourceRecord:
        """Returns the event as it was read, for this one model."""
        return SourceRecord(self.original.encode(), self.datacenter, partition, only=self.model)

    @property
    def is_too_old(self) -> bool:
        return time.time() - self.since > LONGEST_REFUSED_S


@dataclass
class _OfEndpoint:
    edits: deque[WaitingEdit]
    is_silent: bool = False
    due: float = 0.0  # by the monotonic clock
    pause_s: float = _FIRST_PAUSE_S


class WaitingEdits:
    """The edits that wait, of each endpoint the oldest first. What is added is in the file at once; what has
    gone may be there again after a kill."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._endpoints: dict[str, _OfEndpoint] = {}
        self._gone = 0
        for edit in _read(file) if file and file.exists() else ():
            self._endpoint(edit.endpoint).edits.append(edit)
            self._endpoint(edit.endpoint).is_silent = True

    def __len__(self) -> int:
        return sum(len(of_endpoint.edits) for of_endpoint in self._endpoints.values())

    def add(self, edits: Sequence[WaitingEdit]) -> None:
        """Adds edits that have just got no score; their endpoints are asked again after a pause."""
        for edit in edits:
            self._endpoint(edit.endpoint).edits.append(edit)
        if self._file and edits:
            with self._file.open("ab") as file:
                file.write(
                    b"".join(orjson.dumps(asdict(edit), option=orjson.OPT_APPEND_NEWLINE) for edit in edits)
                )

    def is_due(self) -> bool:
        """Returns whether some are to be asked for now."""
        now = time.monotonic()
        return any(of_endpoint.edits and of_endpoint.due <= now for of_endpoint in self._endpoints.values())

    def take(self) -> list[WaitingEdit]:
        """Removes and returns the edits that are to be asked for now: of an endpoint that was silent, one, to
        see whether it still is."""
        taken: list[WaitingEdit] = []
        now = time.monotonic()
        for of_endpoint in self._endpoints.values():
            if of_endpoint.due <= now:
                count = min(len(of_endpoint.edits), _PROBES if of_endpoint.is_silent else _MOST_AT_ONCE)
                taken += [of_endpoint.edits.popleft() for _ in range(count)]
        self._gone += len(taken)
        return taken

    def note(self, endpoint: str, *, is_silent: bool) -> bool:
        """Notes whether an endpoint that was asked gave nothing but errors that pass. Returns whether that is
        new."""
        of_endpoint = self._endpoint(endpoint)
        is_new = of_endpoint.is_silent != is_silent
        of_endpoint.pause_s = (
            min(_LONGEST_PAUSE_S, 2 * of_endpoint.pause_s) if is_silent and not is_new else _FIRST_PAUSE_S
        )
        of_endpoint.is_silent, of_endpoint.due = (
            is_silent,
            time.monotonic() + of_endpoint.pause_s if is_silent else 0.0,
        )
        return is_new

    def save(self, *, whole: bool = False) -> None:
        """Writes the file anew when much of it has gone."""
        if self._file and self._gone and (whole or self._gone >= _WRITTEN_AFTER or not len(self)):
            new = self._file.with_suffix(".new")
            new.write_bytes(
                b"".join(orjson.dumps(asdict(edit), option=orjson.OPT_APPEND_NEWLINE) for edit in self._all())
            )
            new.rename(self._file)
            self._gone = 0

    def _all(self) -> Iterator[WaitingEdit]:
        for of_endpoint in self._endpoints.values():
            yield from of_endpoint.edits

    def _endpoint(self, endpoint: str) -> _OfEndpoint:
        return self._endpoints.setdefault(endpoint, _OfEndpoint(deque()))


def _read(file: Path) -> Iterator[WaitingEdit]:
    """Yields the edits of a file, each once. What a killed run left of a line is none."""
    seen: set[tuple[str, str]] = set()
    for line in file.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            edit = WaitingEdit(**orjson.loads(line))
            if (edit.model, edit.original) not in seen:
                seen.add((edit.model, edit.original))
                yield edit
