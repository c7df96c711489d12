"""Events to journals, a line each as it comes: what is in them is not asked for again when a run was killed,
and becomes a dataset when it is whole."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import merge
from operator import itemgetter
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import orjson

from transforms.datasets.durable_files import replace_file
from transforms.datasets.filesystem import open_file
from transforms.datasets.places import Place, address_of, below, files_under, place_at
from transforms.elements import Event
from transforms.events.score_events import score_id
from transforms.events.source_events import partition_of_event, rev_id_of, wiki_of

NO_MODEL = "_"
_UNITS_KNOWN = 256
_SORTED_AT_ONCE = 24 << 20  # bytes of JSON in memory, some 20,000 scores


# where a score stands in its partition: wiki, revision and `meta.id`
Order = tuple[str, int, str]


class Entry(NamedTuple):
    """A line of a journal."""

    body: Mapping[str, Any]
    failure: bool
    retryable: bool  # a failure that another try may mend
    order: Order = ("", 0, "")  # of a score that was read


def entries(journal: Place) -> Iterator[Entry]:
    """The lines of a journal; what a process that was killed or a machine that stopped wrote to its half, or
    as zeros, is none."""
    return filter(None, map(_entry_in, _lines_in(journal)))


def failures_of(journal: Place) -> Iterator[Entry]:
    """The lines of a journal that are failures; the others are not parsed."""
    return filter(None, map(_entry_in, filter(is_of_failure, _lines_in(journal))))


def _lines_in(journal: Place) -> Iterator[bytes]:
    for path in _files_under(journal):
        yield from _lines_of(path)


def _files_under(folder: Place) -> list[Place]:
    return sorted(path for path in files_under(folder) if path.suffix == ".jsonl")


def _lines_of(path: Place) -> Iterator[bytes]:
    with open_file(address_of(path)) as lines:
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
        wiki, rev_id, name = of_score = order(body)
        if type(wiki) is not str or type(rev_id) is not int or type(name) is not str:
            return None
    except (ValueError, TypeError, KeyError):
        return None
    return Entry(body, failure, retryable, of_score)


def scores_in_order(
    journal: Place, folder: str, kept: Iterable[Mapping[str, Any]] = ()
) -> Iterator[Mapping[str, Any]]:
    """The score events of a journal, and those that are `kept` beside them, by wiki and revision, so that
    readers find one of them by the statistics of its row group. Sorted on disk, in `folder`, as they may be
    more than fit into memory.

    Each comes once: an event may come again, and a worker that died may have written what its successor wrote
    again. Of two with the same place the journal's comes.
    """
    new = (
        (entry.order, line) for line in _lines_in(journal) if (entry := _entry_in(line)) and not entry.failure
    )
    return _in_order((new, _placed(kept)), folder)


def sorted_on_disk(scores: Iterable[Mapping[str, Any]], folder: str) -> Iterator[Mapping[str, Any]]:
    """Score events in that order, however many; each comes once."""
    return _in_order((_placed(scores),), folder)


def _placed(scores: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Order, bytes]]:
    return ((order(body), orjson.dumps((body,), option=orjson.OPT_APPEND_NEWLINE)) for body in scores)


def _in_order(sources: Iterable[Iterable[tuple[Order, bytes]]], folder: str) -> Iterator[Mapping[str, Any]]:
    before = None
    with ExitStack() as stack:
        runs = [run for placed in sources for run in _sorted_runs(placed, folder, stack)]
        for place, body in merge(*runs, key=itemgetter(0)):
            if place != before:
                yield body
            before = place


def order(body: Mapping[str, Any]) -> Order:
    """Where a score stands in its partition."""
    return wiki_of(body), rev_id_of(body), body["meta"]["id"]


def _sorted_runs(
    lines: Iterable[tuple[Order, bytes]], folder: str, stack: ExitStack
) -> Iterator[Iterator[tuple[Order, Mapping[str, Any]]]]:
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


def _taken(lines: Iterator[tuple[Order, bytes]]) -> Iterator[tuple[Order, bytes]]:
    """Yields so many as are sorted at once."""
    size = 0
    for place, line in lines:
        yield place, line
        if (size := size + len(line)) >= _SORTED_AT_ONCE:
            return


def is_of_failure(line: bytes) -> bool:
    """Whether the line of a journal is of a failure; told by its end, without reading it all."""
    return line.endswith((b",true,true]\n", b",true,false]\n"))


def journals(folder: Place) -> Iterator[tuple[str, str | None, Place]]:
    """Each journal below `folder` with its partition ("_" where that is unknown) and model (None: failures
    before there was one)."""
    for path in dict.fromkeys(path.parent for path in _files_under(folder)):
        model = path.name
        yield below(path.parent, folder), None if model == NO_MODEL else model, path


@dataclass(frozen=True)
class ScoredBefore:
    """Tells which scores need not be asked for: those of whole units, a model and a partition each, those
    that are not wanted of others, and those that a journal has."""

    folder: str  # the address of it: a place of HDFS or S3 takes long to be looked up by
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
def _ids_in(folder: str, partition: str, model: str, key: str) -> frozenset[str]:
    journal = place_at(folder) / partition / model
    return frozenset(entry.body["meta"]["id"] for entry in entries(journal) if not entry.failure)


def drop_failures(folder: Place) -> int:
    """Has journals say nothing of what failed, so that it is tried again, nor of what is damaged; returns how
    many lines are. Raises OSError."""
    damaged = 0
    for path in _files_under(folder):
        kept, dropped = bytearray(), 0
        for line in _lines_of(path):
            entry = _entry_in(line)
            damaged += entry is None
            if entry is None or entry.failure:
                dropped += 1
            else:
                kept += line
        if dropped:
            replace_file(path, bytes(kept))
    return damaged
