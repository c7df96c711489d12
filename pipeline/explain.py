"""The command `explain`: what the pipeline would do with each event, without doing it."""

from __future__ import annotations

import argparse
import gzip
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from pipeline.wrong_use import WrongUse
from transforms.elements import Raw
from transforms.models import Configuration
from transforms.read_events import NotAnEvent, event_in, parse, why_dropped
from transforms.select_models import Selection
from transforms.source_events import id_of, rev_id_of, wiki_of


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Prints a JSON line for each line of the events: who it is, which models' rules match, which calls follow, or why none."""
    selection = Selection(configuration.models, configuration.wikis)
    for line in _lines(arguments.events):
        sys.stdout.write(orjson.dumps(explanation(line, configuration, selection), option=orjson.OPT_APPEND_NEWLINE).decode())
    sys.stdout.flush()
    return 0


def explanation(line: bytes, configuration: Configuration, selection: Selection) -> dict[str, Any]:
    """`skipped` is null where calls follow; `matched` names the models whose rule matches, whether or not the event can be
    scored, `refused` says by which field the others of the wiki do not want it."""
    try:
        raw: Mapping[str, Any] = parse(line)
    except NotAnEvent as error:
        return {"id": None, "database": None, "rev_id": None, "matched": [], "calls": [], "skipped": str(error), "refused": {}}
    endpoints = selection.endpoints(raw)
    skipped = _why_skipped(raw, selection, bool(endpoints))
    return {
        "id": id_of(raw),
        "database": wiki_of(raw),
        "rev_id": rev_id_of(raw),
        "matched": [endpoint.model for endpoint in endpoints],
        "calls": []
        if skipped
        else [
            {
                "model": endpoint.model,
                "url": (endpoint.url or configuration.lift_wing.url) + endpoint.path,
                "host": endpoint.host,
                "stream": configuration.models[endpoint.model].stream,
            }
            for endpoint in endpoints
        ],
        "skipped": skipped,
        "refused": selection.refusals(raw),
    }


def _why_skipped(raw: Mapping[str, Any], selection: Selection, matches: bool) -> str | None:
    try:
        event_in(Raw(raw, datacenter=""))
    except NotAnEvent as error:
        return str(error)
    return why_dropped(raw) or (None if matches else "no model wants it")


def _lines(events: str) -> Iterator[bytes]:
    try:
        with _opened(events) as file:
            yield from (line for line in file if not line.isspace())
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise WrongUse(f"cannot read {events}: {reason}") from error


def _opened(events: str) -> BinaryIO:
    if events == "-":
        return sys.stdin.buffer
    return cast(BinaryIO, gzip.open(events, "rb") if events.endswith(".gz") else Path(events).open("rb"))
