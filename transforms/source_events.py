"""The two kinds of events that are scored, and what both tell: which wiki and revision, under which id, and when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from transforms.hive_layout import partition_at

REVISION_CREATE, PAGE_CHANGE = "revision_create", "page_change"
STREAMS = {REVISION_CREATE: "mediawiki.revision-create", PAGE_CHANGE: "mediawiki.page_change.v1"}
_SCHEMAS = {  # newer minor versions only add fields
    REVISION_CREATE: re.compile(r"/mediawiki/revision/create/[12]\.\d+\.\d+"),
    PAGE_CHANGE: re.compile(r"/mediawiki/page/change/1\.\d+\.\d+"),
}


@lru_cache(maxsize=100)
def source_with(schema: str) -> str | None:
    """Which kind of event has this `$schema`; None for a schema that is not scored."""
    return next((source for source, known in _SCHEMAS.items() if known.fullmatch(schema)), None)


def source_of(event: Mapping[str, Any]) -> str:
    """Which kind of event this is, whether or not it says a schema."""
    return PAGE_CHANGE if "wiki_id" in event else REVISION_CREATE


def wiki_of(event: Mapping[str, Any]) -> Any:
    """The database name, of a source event as of a scored one."""
    return event["database"] if "database" in event else event.get("wiki_id")


def rev_id_of(event: Mapping[str, Any]) -> Any:
    """The revision, of a source event as of a scored one; None when it tells none."""
    if "rev_id" in event:
        return event["rev_id"]
    revision = event.get("revision")
    return revision.get("rev_id") if isinstance(revision, Mapping) else None


def id_of(raw: Mapping[str, Any]) -> Any:
    """The `meta.id` of an event that nobody has checked; None when it has none."""
    meta = raw.get("meta")
    return meta.get("id") if isinstance(meta, Mapping) else None


def key_of(raw: Mapping[str, Any]) -> str:
    """The same for an event that comes again, and for no other."""
    return f"{wiki_of(raw)}/{rev_id_of(raw)}/{id_of(raw)}"


def event_time(raw: Mapping[str, Any]) -> Any:
    """When the edit was made: `dt`, which is `meta.dt` in the 1.x schemas of revision-create."""
    return raw.get("dt") or (raw.get("meta") or {}).get("dt") or raw.get("rev_timestamp")


def partition_of_event(raw: Mapping[str, Any], datacenter: str) -> str | None:
    """The partition of an event that nobody has checked, by its time; None when it tells none."""
    try:
        return partition_at(datacenter, event_time(raw))
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
