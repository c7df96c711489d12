"""Prints scores as they come, a line for each, and appends their events to a file of JSON lines for each
stream."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

import schemas
from transforms.elements import OutputEvent
from transforms.events.prediction_summary import format_prediction, read_prediction
from transforms.events.printable import in_one_line
from transforms.events.source_events import rev_id_of, wiki_of

_LONGEST_TITLE = 60
_LONGEST_LINE = 1_000


def show(event: OutputEvent, folder: Path | None) -> None:
    """Prints a score or a failure and, given a `folder`, appends its event to <table>.jsonl there."""
    if folder:
        with (folder / f"{schemas.table_name(event.stream)}.jsonl").open("ab") as file:
            file.write(orjson.dumps(event.body, option=orjson.OPT_APPEND_NEWLINE))
    print(
        in_one_line(_line(event), _LONGEST_LINE, keep_spaces=True),
        file=sys.stdout if event.request else sys.stderr,
        flush=True,
    )


def _line(event: OutputEvent) -> str:
    """Returns a line such as: 12:20:01 enwiki War_on_terror damaging: false (true 0.012)
    https://en.wikipedia.org/w/index.php?diff=1040920135"""
    if event.request is None:
        return f"failed: {event.body['error_type']}: {event.body['message']}"
    model, raw = event.request.model, event.request.event.raw
    title = str(raw.get("page_title") or (raw.get("page") or {}).get("page_title"))
    domain = (raw.get("meta") or {}).get("domain")
    diff = f"  https://{domain}/w/index.php?diff={rev_id_of(raw)}" if domain else f"  {rev_id_of(raw)}"
    return (
        f"{event.body['meta']['dt'][11:19]} {wiki_of(raw)}  {_short(title)}  {model}: "
        f"{format_prediction(read_prediction(event.body, model))}{diff}"
    )


def _short(title: str) -> str:
    """Returns a title, which is anybody's text, as it can be shown."""
    shown = in_one_line(title, 4 * _LONGEST_TITLE)
    return shown if len(shown) <= _LONGEST_TITLE else f"{shown[: _LONGEST_TITLE - 1]}…"
