"""Journals, of which each line is an event: what is in them is not asked for again when a run was killed, and
becomes a dataset when it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from transforms.datasets.durable_files import replace_file
from transforms.datasets.filesystem import open_file
from transforms.datasets.score_order import Order, in_order, order, placed
from transforms.datasets.storage_paths import Place, address_of, below, files_under

NO_MODEL = "_"  # of what failed before there was a model
UNKNOWN = "_"  # the partition of a file that cannot be read, where its path does not tell it


class Entry(NamedTuple):
    """A line of a journal."""

    body: Mapping[str, Any]
    failure: bool
    retryable: bool  # a failure that another try may mend
    order: Order = ("", 0, "")  # of a score that was read


def entries(journal: Place) -> Iterator[Entry]:
    """Yields the lines of a journal; not what a process that was killed or a machine that stopped wrote in
    part, or as zeros."""
    return filter(None, map(_entry_in, _lines_in(journal)))


def failures_of(journal: Place) -> Iterator[Entry]:
    """Yields the lines of a journal that are failures; the others are not parsed."""
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
    """Returns None for a line that is damaged."""
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
    """Yields the score events of a journal, and those that are `kept` beside them, by wiki and revision, so
    that readers find one of them by the statistics of its row group. Sorted on disk, in `folder`, as they may
    be more than fit into memory.

    Each comes once: an event may come again, and a worker that died may have written what its successor wrote
    again. Of two with the same place the journal's comes.
    """
    new = (
        (entry.order, line) for line in _lines_in(journal) if (entry := _entry_in(line)) and not entry.failure
    )
    return in_order((new, placed(kept)), folder)


def is_of_failure(line: bytes) -> bool:
    """Returns whether the line of a journal is of a failure; told by its end, without reading it all."""
    return line.endswith((b",true,true]\n", b",true,false]\n"))


def journals(folder: Place) -> Iterator[tuple[str, str | None, Place]]:
    """Yields each journal below `folder` with its partition ("_" where that is unknown) and model (None:
    failures before there was one)."""
    for path in dict.fromkeys(path.parent for path in _files_under(folder)):
        model = path.name
        yield below(path.parent, folder), None if model == NO_MODEL else model, path


def drop_failures(folder: Place) -> int:
    """Removes from journals the lines of what failed, so that it is tried again, and those that are damaged;
    returns how many lines are damaged. Raises OSError."""
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
