"""The command `explain`: what the pipeline would do with each event, without doing it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import orjson

from pipeline.config.overrides import load_with
from pipeline.config.shared_options import SomeWikisOptions
from pipeline.options import option
from pipeline.usage_error import UsageError
from transforms.datasets.file_pieces import BadRow, Unreadable, pieces, pieces_of
from transforms.datasets.filesystem import printable
from transforms.elements import SourceRecord
from transforms.events.parsing import NotAnEventError, event_in, parse, why_dropped
from transforms.events.source_events import id_of, rev_id_of, wiki_of
from transforms.models.model import Configuration, Endpoint
from transforms.models.scorable import why_no_score
from transforms.models.selection import Selection


@dataclass(frozen=True, kw_only=True)
class Options(SomeWikisOptions):
    events: str = option(
        "events",
        metavar="EVENTS",
        help="a file of JSON lines, Parquet or Avro, compressed or not; - for standard input",
    )


def run(options: Options) -> int:
    """Prints a JSON line for each event of a file: who it is, which models' rules match, which calls follow,
    or why none. Raises UsageError at the end when something of the file cannot be read."""
    configuration = load_with(options.models, options.overrides)
    selection, path = Selection(configuration.models, configuration.wikis), options.events
    lost = []
    for piece in pieces_of(sys.stdin.buffer, "-") if path == "-" else pieces(path):
        if isinstance(piece, Unreadable):
            lost.append(re.sub(r"^\[Errno \d+\] ([^:]*).*", r"\1", piece.reason))
            continue
        sys.stdout.write(
            orjson.dumps(
                explanation(piece, configuration, selection), option=orjson.OPT_APPEND_NEWLINE
            ).decode()
        )
    sys.stdout.flush()
    if lost:
        raise UsageError(f"cannot read {printable(path)}: {'; '.join(lost)}")
    return 0


class Call(TypedDict):
    """A request that an event leads to."""

    model: str
    url: str
    host: str
    stream: str  # of the score


class Explanation(TypedDict):
    """A line of output. The first three are null where an event cannot be read."""

    id: str | None
    database: str | None
    rev_id: int | None
    matched: list[str]  # models whose rule matches, whether or not the event can be scored
    calls: list[Call]
    skipped: str | None  # why there are no calls; null where there are some
    refused: Mapping[str, str]  # by which field each other model of the wiki does not want it


def explanation(
    event: bytes | Mapping[str, Any] | BadRow, configuration: Configuration, selection: Selection
) -> Explanation:
    """Returns what would be done with an event as it was read: a line, a row, or a row that is none."""
    try:
        raw = _raw(event)
    except NotAnEventError as error:
        return Explanation(
            id=None, database=None, rev_id=None, matched=[], calls=[], skipped=str(error), refused={}
        )
    endpoints = selection.endpoints(raw)
    skipped = _why_skipped(
        event if isinstance(event, bytes) else raw,
        raw,
        {configuration.models[endpoint.model].schema for endpoint in endpoints},
    )
    return Explanation(
        id=id_of(raw),
        database=wiki_of(raw),
        rev_id=rev_id_of(raw),
        matched=[endpoint.model for endpoint in endpoints],
        calls=[] if skipped else [_call(endpoint, configuration) for endpoint in endpoints],
        skipped=skipped,
        refused=selection.explain_mismatches(raw),
    )


def _call(endpoint: Endpoint, configuration: Configuration) -> Call:
    return Call(
        model=endpoint.model,
        url=(endpoint.url or configuration.lift_wing.url) + endpoint.path,
        host=endpoint.host,
        stream=configuration.models[endpoint.model].stream,
    )


def _raw(event: bytes | Mapping[str, Any] | BadRow) -> Mapping[str, Any]:
    if isinstance(event, BadRow):
        raise NotAnEventError(event.reason)
    return parse(event) if isinstance(event, bytes) else event


def _why_skipped(found: bytes | Mapping[str, Any], raw: Mapping[str, Any], schemas: set[str]) -> str | None:
    """Returns why no model is called for an event; None where some are.

    `found`: what was read as the event; `schemas`: the URIs of those of the models whose rule matches.
    """
    try:
        event_in(SourceRecord(found, datacenter=""))
    except NotAnEventError as error:
        return str(error)
    if dropped := why_dropped(raw):
        return dropped
    reasons = [why_no_score(raw, schema) for schema in sorted(schemas)]
    return "no model wants it" if not reasons else next(filter(None, reasons), None)
