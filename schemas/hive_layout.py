"""Where events lie on disk: `<root>/<table>/datacenter=eqiad/year=2024/month=2/day=15/hour=0/part-*`, numbers
without leading zeros (HivePartition in wikimedia/analytics-refinery-source)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import PurePath

KEYS = ("datacenter", "year", "month", "day", "hour")
_DATACENTER = re.compile(r"[a-z][a-z0-9]*")
_TOPIC = re.compile(r"([a-z][a-z0-9]*)\.mediawiki\.[\w.-]+")


def partition_of(path: str) -> str | None:
    """Returns the partition that a file lies in, numbers with or without leading zeros; None when its path
    names none.

    SourceRecord imports have no `datacenter=…`, but the topic: `codfw.mediawiki.revision-create/year=2024/…`.
    """
    found = _keys_in(path)
    if not all(key in found for key in KEYS) or _problem(found):
        return None
    return partition(found["datacenter"], *(int(found[key]) for key in KEYS[1:]))


def wrong_key_in(path: str) -> str | None:
    """Returns the key of a path that is of no time or datacenter (`hour=24`,
    `day=__HIVE_DEFAULT_PARTITION__`), or None."""
    return _problem(_keys_in(path))


def _keys_in(path: str) -> dict[str, str]:
    folders = PurePath(path).parts[:-1]
    topics = [topic[1] for folder in folders if (topic := _TOPIC.fullmatch(folder))]
    found = {"datacenter": topics[-1]} if topics else {}
    found |= dict(folder.split("=", 1) for folder in folders if "=" in folder)
    return {key: value for key, value in found.items() if key in KEYS}


def _problem(found: Mapping[str, str]) -> str | None:
    if "datacenter" in found and not _DATACENTER.fullmatch(found["datacenter"]):
        return f"datacenter={found['datacenter']}"
    time = [2000, 1, 1, 0]
    for place, key in enumerate(KEYS[1:]):
        if key in found:
            try:
                time[place] = int(found[key]) if found[key].isdecimal() else -1
                datetime(*time)  # type: ignore[arg-type]
            except (ValueError, OverflowError):
                return f"{key}={found[key]}"
    return None


def mark_in(below: str) -> str | None:
    """Returns what in a path below a table makes readers of Hive tables pass over it: a name that begins with
    . or _, `*.crc` for all checksums; or None."""
    for name in below.split("/"):
        if name.startswith(".") or (name.startswith("_") and "=" not in name):
            return "*.crc" if name.endswith(".crc") else name
    return None


@lru_cache
def partition_at(datacenter: str, dt: str) -> str:
    """Returns the partition of an event that was made at `dt`, an ISO 8601 time. Raises ValueError when it is
    no time, and OverflowError for one beyond the calendar in UTC."""
    time = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", re.sub(r"\.\d+", "", dt)))
    time = time.astimezone(timezone.utc) if time.tzinfo else time
    return partition(datacenter, time.year, time.month, time.day, time.hour)


def partition(datacenter: str, *numbers: int) -> str:
    """Returns a partition as its path below a table; `numbers`: year, month, day and hour."""
    return "/".join(
        [
            f"datacenter={datacenter}",
            *(f"{key}={number}" for key, number in zip(KEYS[1:], numbers, strict=True)),
        ]
    )


def hour_of(partition: str) -> datetime:
    """Returns when the events of a partition begin, in UTC."""
    return datetime(*(int(part.partition("=")[2]) for part in partition.split("/")[1:]), tzinfo=timezone.utc)  # type: ignore[arg-type,misc]


def datacenter_of(partition: str) -> str:
    """Returns the datacenter of a partition."""
    return partition.split("/", 1)[0].partition("=")[2]
