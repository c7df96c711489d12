"""The two kinds of events that are scored, and what both say: which wiki and revision, under which id, and
when.

`$schema` decides which kind an event is. One that has none may be a revision-create of history: until 2019 an
event had `meta.schema_uri` instead, and `meta.topic` in place of `meta.stream`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from schemas.hive_layout import partition_at
from transforms.elements import Event

REVISION_CREATE, PAGE_CHANGE = "revision_create", "page_change"
STREAMS = {REVISION_CREATE: "mediawiki.revision-create", PAGE_CHANGE: "mediawiki.page_change.v1"}
_SCHEMAS = {  # newer minor versions only add fields
    REVISION_CREATE: re.compile(r"/mediawiki/revision/create/[12]\.\d+\.\d+"),
    PAGE_CHANGE: re.compile(r"/mediawiki/page/change/1\.\d+\.\d+"),
}
# Fields that tell who an event is, of either kind.
IDENTITY = frozenset(["$schema", "meta", "dt", "rev_timestamp", "database", "rev_id", "wiki_id", "revision"])
# how `$schema` of a source event begins, and of what is made of it
_OF_PAGE_CHANGES, _OF_REVISIONS = "/mediawiki/page/", "/mediawiki/revision/"
_SCHEMA_OF_HISTORY = re.compile(r"mediawiki/revision/create/\d+")
_STREAM_OF_HISTORY = re.compile(r"((eqiad|codfw)\.)?mediawiki\.revision[-_]create")


@lru_cache(maxsize=100)
def source_with(schema: str) -> str | None:
    """Returns which kind of event has this `$schema`, a key of STREAMS; None for a schema that is not
    scored."""
    return next((source for source, known in _SCHEMAS.items() if known.fullmatch(schema)), None)


def source_of(event: Mapping[str, Any]) -> str:
    """Returns which kind of event this is, or was made of: by its `$schema`, and where that does not say, by
    the field that names the wiki."""
    schema = event.get("$schema")
    if type(schema) is str and (source := _made_of(schema)):
        return source
    return PAGE_CHANGE if "wiki_id" in event and "database" not in event else REVISION_CREATE


@lru_cache(maxsize=100)
def _made_of(schema: str) -> str | None:
    if schema.startswith(_OF_PAGE_CHANGES):
        return PAGE_CHANGE
    return REVISION_CREATE if schema.startswith(_OF_REVISIONS) else None


def is_of_history(raw: Mapping[str, Any]) -> bool:
    """Returns whether an event without `$schema` is a revision-create all the same, as `meta` had it before
    2019, with a time."""
    meta = raw.get("meta")
    if raw.get("$schema") is not None or not isinstance(meta, dict) or not isinstance(event_time(raw), str):
        return False
    uri = meta.get("schema_uri")
    if uri is not None:
        return isinstance(uri, str) and _SCHEMA_OF_HISTORY.fullmatch(uri.strip("/")) is not None
    stream = stream_of(raw)
    return stream is not None and _STREAM_OF_HISTORY.fullmatch(stream) is not None


def stream_of(raw: Mapping[str, Any]) -> str | None:
    """Returns the stream that an event says it is of; None when it says none."""
    meta = raw.get("meta")
    stream = (meta.get("stream") or meta.get("topic")) if isinstance(meta, dict) else None
    return stream if isinstance(stream, str) else None


def wiki_of(event: Mapping[str, Any]) -> Any:
    """Returns the database name, of a source event as of a scored one; None, or no text, in an event that
    nobody has checked."""
    return event.get("wiki_id" if source_of(event) == PAGE_CHANGE else "database")


def rev_id_of(event: Mapping[str, Any]) -> Any:
    """Returns the revision, of a source event as of a scored one; None when it has none."""
    if source_of(event) == REVISION_CREATE:
        return event.get("rev_id")
    revision = event.get("revision")
    return revision.get("rev_id") if isinstance(revision, dict) else None


def id_of(raw: Mapping[str, Any]) -> Any:
    """Returns the `meta.id` of an event that nobody has checked; None when it has none."""
    meta = raw.get("meta")
    return meta.get("id") if isinstance(meta, dict) else None


def event_of(
    raw: Mapping[str, Any], datacenter: str, partition: str | None = None, only: str | None = None
) -> Event:
    """Returns the element of an event that has been checked. `partition`: where its source has it; `only`:
    the one model to ask."""
    return Event(raw, datacenter, wiki_of(raw), rev_id_of(raw), partition, only)


def key_of(event: Event) -> str:
    """Returns a text that is the same for an event that comes again, and for no other."""
    return f"{event.wiki}/{event.rev_id}/{id_of(event.raw)}"


def edit_time(raw: Mapping[str, Any]) -> Any:
    """Returns the `dt` of what is made of an event, as python/events.py of Lift Wing sets it: `rev_timestamp`
    of a revision-create, which is up to seconds before its `dt`; `dt` of a page change, and of a score."""
    of_revision_create = source_of(raw) == REVISION_CREATE and "scores" not in raw
    return (raw.get("rev_timestamp") if of_revision_create else None) or event_time(raw)


def event_time(raw: Mapping[str, Any]) -> Any:
    """Returns when the event was made: `dt`, which is `meta.dt` in the 1.x schemas of revision-create."""
    meta = raw.get("meta")
    return raw.get("dt") or (meta.get("dt") if isinstance(meta, dict) else None) or raw.get("rev_timestamp")


def partition_of_event(raw: Mapping[str, Any], datacenter: str) -> str | None:
    """Returns the partition of an event that nobody has checked, by its time; None when it has none."""
    for time in (event_time(raw), edit_time(raw)):
        with suppress(ValueError, TypeError, AttributeError, OverflowError):
            return partition_at(datacenter, time)
    return None
