"""A sink for people: a line for each score as it comes, and the events in a file of JSON lines for each stream."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import orjson

import schemas
from transforms.elements import OutputEvent
from transforms.score_events import in_words, said_in
from transforms.source_events import rev_id_of, wiki_of

_LONGEST_TITLE = 60


@dataclass
class Shown(beam.PTransform):
    """A sink: prints each event and, given a `folder`, appends it to <table>.jsonl there; not those whose `meta.id` is `written` already.

    For a pipeline in this process.
    """

    folder: Path | None
    written: Collection[str] = ()

    def expand(self, events: beam.PCollection[OutputEvent]) -> beam.PCollection[None]:
        return events | "Show" >> beam.ParDo(_ShowFn(self.folder, self.written))


class _ShowFn(beam.DoFn):
    def __init__(self, folder: Path | None, written: Collection[str]) -> None:
        self._folder, self._written = folder, written

    def process(self, event: OutputEvent) -> None:
        if event.body["meta"]["id"] in self._written:
            return
        if self._folder:
            with (self._folder / f"{schemas.table_name(event.stream)}.jsonl").open("ab") as file:
                file.write(orjson.dumps(event.body, option=orjson.OPT_APPEND_NEWLINE))
        print(_line(event), file=sys.stdout if event.request else sys.stderr, flush=True)


def _line(event: OutputEvent) -> str:
    """Such as: 12:20:01 enwiki  War_on_terror  damaging: false (true 0.012)  https://en.wikipedia.org/w/index.php?diff=1040920135"""
    if event.request is None:
        return f"failed: {event.body['error_type']}: {event.body['message']}"
    model, raw = event.request.model, event.request.event.raw
    title = str(raw.get("page_title") or (raw.get("page") or {}).get("page_title"))
    domain = (raw.get("meta") or {}).get("domain")
    diff = f"  https://{domain}/w/index.php?diff={rev_id_of(raw)}" if domain else f"  {rev_id_of(raw)}"
    return f"{event.body['meta']['dt'][11:19]} {wiki_of(raw)}  {_plain(title)}  {model}: {in_words(said_in(event.body, model))}{diff}"


def _plain(title: str) -> str:
    """What may go to a terminal: a title is anybody's text."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in title)
    return shown if len(shown) <= _LONGEST_TITLE else f"{shown[: _LONGEST_TITLE - 1]}…"
