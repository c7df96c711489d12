"""Events to journals, a line each as it comes: what is in them is not asked for again when a run was killed,
and becomes a dataset when it is whole."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import merge
from io import FileIO
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import apache_beam as beam
import orjson

from schemas.hive_layout import partition_at
from transforms.elements import Event, OutputEvent
from transforms.events.parsing import NotAnEventError, parse
from transforms.events.score_events import score_id
from transforms.events.source_events import partition_of_event, rev_id_of, wiki_of

_MOST_FILES_OPEN = 64
_NO_MODEL = "_"
_UNKNOWN_PLACE = "_"  # of a file that cannot be read: it may be of any
_UNITS_KNOWN = 256
_SORTED_AT_ONCE = 24 << 20  # bytes of JSON in memory, some 20,000 scores


Place = tuple[str, int, str]  # where a score stands in its partition: wiki, revision and `meta.id`


class Entry(NamedTuple):
    """A line of a journal."""

    body: Mapping[str, Any]
    failure: bool
    retryable: bool  # a failure that another try may mend
    place: Place = ("", 0, "")  # of a score that was read


@dataclass
class Journals(beam.PTransform):
    """A sink: appends each event to a journal of its partition and model below `folder`."""

    folder: Path

    def expand(self, events: beam.PCollection[OutputEvent]) -> beam.PCollection[None]:
        return events | "WriteJournals" >> beam.ParDo(_WriteJournalsFn(self.folder))


class _WriteJournalsFn(beam.DoFn):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start_bundle(self) -> None:
        self._name = f"{uuid.uuid4()}.jsonl"
        self._open: dict[str, FileIO] = {}  # by place, least recently used first

    def process(self, event: OutputEvent) -> None:
        line = event.body, event.failure is not None, bool(event.failure and event.failure.retryable)
        encoded = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        if self._file(place_of(event)).write(encoded) < len(encoded):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def finish_bundle(self) -> None:
        for file in self._open.values():
            file.close()

    def _file(self, place: str) -> FileIO:
        file = self._open.pop(place, None)
        if file is None:
            folder = self._folder / place
            folder.mkdir(parents=True, exist_ok=True)
            # what is written is there when the process is killed
            file = (folder / self._name).open("ab", buffering=0)
            if len(self._open) >= _MOST_FILES_OPEN:
                self._open.pop(next(iter(self._open))).close()
        self._open[place] = file
        return file


def place_of(event: OutputEvent) -> str:
    """The journal of an event: its partition, and below that its model."""
    model = event.request.model if event.request else event.failure.model if event.failure else None
    partition = event.partition
    if partition is None and event.request:
        partition = partition_of_event(event.request.event.raw, event.datacenter)
    if partition is None and event.failure:
        partition = _partition_of_original(event.failure.original, event.datacenter) or (
            _UNKNOWN_PLACE if event.failure.retryable else None
        )
    return f"{partition or partition_at(event.datacenter, event.body['dt'])}/{model or _NO_MODEL}"


def _partition_of_original(text: str, datacenter: str) -> str | None:
    try:
        return partition_of_event(parse(text), datacenter)
    except NotAnEventError:
        return None


def entries(journal: Path) -> Iterator[Entry]:
    """The lines of a journal; what a process that was killed or a machine that stopped wrote to its half, or
    as zeros, is none."""
    return filter(None, map(_entry_in, _lines_in(journal)))


def failures_of(journal: Path) -> Iterator[Entry]:
    """The lines of a journal that are failures; the others are not parsed."""
    return filter(None, map(_entry_in, filter(is_of_failure, _lines_in(journal))))


def _lines_in(journal: Path) -> Iterator[bytes]:
    for path in sorted(journal.glob("*.jsonl")):
        yield from _lines_of(path)


def _lines_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as lines:
        yield from lines


def _entry_in(line: bytes) -> Entry | None:
    """None for a line that is damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        body, failure, retryable = orjson.loads(line)
        if (
            type(failure) is not bool
            or type(retryable) is not bool
            or not isinstance(body["meta"]["id"], str)
        ):
            return None
        if failure:
            return Entry(body, failure, retryable)
        wiki, rev_id, name = place = order(body)
        if type(wiki) is not str or type(rev_id) is not int or type(name) is not str:
            return None
    except (ValueError, TypeError, KeyError):
        return None
    return Entry(body, failure, retryable, place)


def scores_in_order(
    journal: Path, folder: Path, kept: Iterable[Mapping[str, Any]] = ()
) -> Iterator[Mapping[str, Any]]:
    """The score events of a journal, and those that are `kept` beside them, by wiki and revision, so that
    readers find one of them by the statistics of its row group. Sorted on disk, in `folder`, as they may be
    more than fit into memory.

    Each comes once: an event may come again, and a worker that died may have written what its successor wrote
    again. Of two with the same place the journal's comes.
    """
    new = (
        (entry.place, line) for line in _lines_in(journal) if (entry := _entry_in(line)) and not entry.failure
    )
    there = ((order(body), orjson.dumps((body,), option=orjson.OPT_APPEND_NEWLINE)) for body in kept)
    before = None
    with ExitStack() as stack:
        runs = [run for placed in (new, there) for run in _sorted_runs(placed, folder, stack)]
        for place, body in merge(*runs, key=itemgetter(0)):
            if place != before:
                yield body
            before = place


def order(body: Mapping[str, Any]) -> Place:
    """Where a score stands in its partition."""
    return wiki_of(body), rev_id_of(body), body["meta"]["id"]


def _sorted_runs(
    lines: Iterable[tuple[Place, bytes]], folder: Path, stack: ExitStack
) -> Iterator[Iterator[tuple[Place, Mapping[str, Any]]]]:
    """The events of lines in parts that are in order, each in a file unless one holds all."""
    rest = iter(lines)
    while some := sorted(_taken(rest), key=itemgetter(0)):
        if sum(len(line) for _, line in some) < _SORTED_AT_ONCE:
            yield ((place, orjson.loads(line)[0]) for place, line in some)
            return
        run = stack.enter_context(TemporaryFile(dir=folder))  # noqa: SIM115
        run.writelines(line for _, line in some)
        run.seek(0)
        yield ((order(body), body) for body, *_ in map(orjson.loads, run))


def _taken(lines: Iterator[tuple[Place, bytes]]) -> Iterator[tuple[Place, bytes]]:
    """Yields so many as are sorted at once."""
    size = 0
    for place, line in lines:
        yield place, line
        if (size := size + len(line)) >= _SORTED_AT_ONCE:
            return


def is_of_failure(line: bytes) -> bool:
    """Whether the line of a journal is of a failure; told by its end, without reading it all."""
    return line.endswith((b",true,true]\n", b",true,false]\n"))


def journals(folder: Path) -> Iterator[tuple[str, str | None, Path]]:
    """Each journal below `folder` with its partition ("_" where that is unknown) and model (None: failures
    before there was one)."""
    for path in sorted({path.parent for path in folder.rglob("*.jsonl")}):
        model = path.name
        yield str(path.parent.relative_to(folder)), None if model == _NO_MODEL else model, path


@dataclass(frozen=True)
class ScoredBefore:
    """Tells which scores need not be asked for: those of whole units, a model and a partition each, those
    that are not wanted of others, and those that a journal has."""

    folder: Path
    streams: Mapping[str, str]  # by model
    whole: frozenset[tuple[str, str]] = frozenset()  # units (model, partition) of which nothing is wanted
    # by unit, the `meta.id`s of the scores that are wanted
    only: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    others: bool = True  # whether of all other units every score is wanted, or none
    # by which what journals had is remembered: they grow
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __call__(self, event: Event, model: str) -> bool:
        partition = event.partition or partition_of_event(event.raw, event.datacenter)
        if partition is None:  # another step will find that it has no time
            return False
        unit = model, partition
        if unit in self.whole:
            return True
        wanted = self.only.get(unit, None if self.others else frozenset[str]())
        ids = _ids_in(self.folder, partition, model, self.key)
        if not ids and wanted is None:
            return False
        name = score_id(event.raw, self.streams[model])
        return name in ids or (wanted is not None and name not in wanted)


@lru_cache(maxsize=_UNITS_KNOWN)
def _ids_in(folder: Path, partition: str, model: str, key: str) -> frozenset[str]:
    return frozenset(
        entry.body["meta"]["id"] for entry in entries(folder / partition / model) if not entry.failure
    )


def drop_failures(folder: Path) -> int:
    """Has journals say nothing of what failed, so that it is tried again, nor of what is damaged; returns how
    many lines are. Raises OSError."""
    damaged = 0
    for path in list(folder.rglob("*.jsonl")):
        kept = []
        for line in _lines_of(path):
            entry = _entry_in(line)
            damaged += entry is None
            if entry and not entry.failure:
                kept.append(line)
        path.with_suffix(".new").write_bytes(b"".join(kept))
        path.with_suffix(".new").replace(path)
    return damaged
