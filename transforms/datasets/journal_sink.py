"""Events to journals, a line each as it comes; see `journal.py` for what becomes of them."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol

import apache_beam as beam
import orjson
from apache_beam.utils.windowed_value import WindowedValue
from upath import UPath

from schemas.hive_layout import partition_at
from transforms.datasets.journal import NO_MODEL, UNKNOWN
from transforms.datasets.storage_paths import Place, address_of, each_at
from transforms.elements import OutputEvent
from transforms.events.parsing import NotAnEventError, parse
from transforms.events.source_events import partition_of_event
from transforms.worker.global_window import in_global_window

_MOST_FILES_OPEN = 64
_SEGMENTS_BYTES, _SEGMENTS_S = 16 << 20, 30.0  # of lines that wait to be written, over all journals


@dataclass
class Journals(beam.PTransform):
    """Appends each event to a journal of its partition and model below `folder`.

    In: OutputEvent.
    Out: the folder, whenever all is written that came.
    Bounded: bounded.
    Guarantee: at least once; what is in a journal twice is committed once.
    """

    folder: Place

    def expand(self, events: beam.PCollection[OutputEvent]) -> beam.PCollection[str]:
        return events | "WriteJournals" >> beam.ParDo(_WriteJournalsFn(self.folder)).with_output_types(str)


class _WriteJournalsFn(beam.DoFn):
    def __init__(self, folder: Place) -> None:
        self._folder = folder

    def start_bundle(self) -> None:
        self._lines: _Lines = (
            _Appended(self._folder) if isinstance(self._folder, Path) else _Segments(self._folder)
        )

    def process(self, event: OutputEvent) -> None:
        line = event.body, event.failure is not None, bool(event.failure and event.failure.retryable)
        self._lines.write(journal_of(event), orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        self._lines.close()
        yield in_global_window(address_of(self._folder))


class _Lines(Protocol):
    """What a bundle writes to journals."""

    def write(self, journal: str, line: bytes) -> None:
        """Raises OSError."""

    def close(self) -> None:
        """Returns when all is written. Raises OSError."""


class _Appended:
    """Lines in files of this machine: what is written is there when the process is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._name = folder, f"{uuid.uuid4()}.jsonl"
        self._open: dict[str, FileIO] = {}  # by journal, least recently used first

    def write(self, journal: str, line: bytes) -> None:
        if self._file(journal).write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        for file in self._open.values():
            file.close()

    def _file(self, journal: str) -> FileIO:
        file = self._open.pop(journal, None)
        if file is None:
            folder = self._folder / journal
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / self._name).open("ab", buffering=0)
            if len(self._open) >= _MOST_FILES_OPEN:
                self._open.pop(next(iter(self._open))).close()
        self._open[journal] = file
        return file


class _Segments:
    """Lines in files that are written at once, where none can be appended to: a process that is killed loses
    those of the last half minute. Written beside what goes on: HDFS takes half a second to close a file."""

    def __init__(self, folder: UPath) -> None:
        self._folder = folder
        self._lines: dict[str, bytearray] = {}  # by journal; a bytes for each line takes three times as much
        self._size, self._since = 0, 0.0
        self._beside = ThreadPoolExecutor(1)
        self._on_their_way: Future[list[None]] | None = None

    def write(self, journal: str, line: bytes) -> None:
        if not self._lines:
            self._since = time.monotonic()
        self._lines.setdefault(journal, bytearray()).extend(line)
        self._size += len(line)
        if self._size >= _SEGMENTS_BYTES or time.monotonic() - self._since >= _SEGMENTS_S:
            self._send()

    def close(self) -> None:
        with self._beside:
            self._send()
            self._wait()

    def _send(self) -> None:
        self._wait()
        lines, self._lines, self._size = self._lines, {}, 0
        self._on_their_way = self._beside.submit(each_at, self._folder, self._write, lines.items())

    def _wait(self) -> None:
        if self._on_their_way:
            self._on_their_way.result()

    def _write(self, of_journal: tuple[str, bytearray]) -> None:
        journal, lines = of_journal
        place = self._folder / journal / f"{uuid.uuid4()}.jsonl"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.fs.pipe_file(place.path, bytes(lines))


def journal_of(event: OutputEvent) -> str:
    """Returns the journal of an event: its partition, and below that its model."""
    model = event.request.model if event.request else event.failure.model if event.failure else None
    partition = event.partition
    if partition is None and event.request:
        partition = partition_of_event(event.request.event.raw, event.datacenter)
    if partition is None and event.failure:
        partition = _partition_of_original(event.failure.original, event.datacenter) or (
            UNKNOWN if event.failure.retryable else None
        )
    return f"{partition or partition_at(event.datacenter, event.body['dt'])}/{model or NO_MODEL}"


def _partition_of_original(text: str, datacenter: str) -> str | None:
    try:
        return partition_of_event(parse(text), datacenter)
    except NotAnEventError:
        return None
