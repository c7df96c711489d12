"""The order of scores in a partition, by wiki and revision, and how more of them than fit into memory are
sorted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from heapq import merge
from operator import itemgetter
from tempfile import TemporaryFile
from typing import Any

import orjson

from transforms.events.source_events import rev_id_of, wiki_of

_SORTED_AT_ONCE = 8 << 20  # bytes of JSON in memory, some 7,000 scores

Order = tuple[str, int, str]  # wiki, revision and `meta.id`


def order(body: Mapping[str, Any]) -> Order:
    """Returns where a score stands in its partition."""
    return wiki_of(body), rev_id_of(body), body["meta"]["id"]


def sorted_on_disk(scores: Iterable[Mapping[str, Any]], folder: str) -> Iterator[Mapping[str, Any]]:
    """Yields score events in order, however many; each comes once. Sorted on disk, in `folder`."""
    return in_order((placed(scores),), folder)


def placed(scores: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Order, bytes]]:
    """Yields score events as lines, each with its order."""
    return ((order(body), orjson.dumps((body,), option=orjson.OPT_APPEND_NEWLINE)) for body in scores)


def in_order(sources: Iterable[Iterable[tuple[Order, bytes]]], folder: str) -> Iterator[Mapping[str, Any]]:
    """Yields the events of lines in order; of those that stand in one place the first of the first source.
    Sorted on disk, in `folder`. Raises OSError."""
    before = None
    with ExitStack() as stack:
        runs = [run for source in sources for run in _sorted_runs(source, folder, stack)]
        for place, body in merge(*runs, key=itemgetter(0)):
            if place != before:
                yield body
            before = place


def _sorted_runs(
    lines: Iterable[tuple[Order, bytes]], folder: str, stack: ExitStack
) -> Iterator[Iterator[tuple[Order, Mapping[str, Any]]]]:
    """Yields the events of lines in parts that are in order, each in a file unless one holds all."""
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
