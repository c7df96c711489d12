"""Where events lie on disk: `<root>/<table>/datacenter=eqiad/year=2024/month=2/day=15/hour=0/part-*`, numbers without leading zeros
(HivePartition in wikimedia/analytics-refinery-source)."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import PurePath

KEYS = ("datacenter", "year", "month", "day", "hour")
_DATACENTER = re.compile(r"[a-z][a-z0-9]*")


def partition_of(path: str) -> str | None:
    """The partition a file lies in, numbers with or without leading zeros; None when its path names none."""
    found = dict(part.split("=", 1) for part in PurePath(path).parts if "=" in part)
    if not all(key in found for key in KEYS) or not _DATACENTER.fullmatch(found["datacenter"]):
        return None
    if not all(found[key].isdecimal() for key in KEYS[1:]):
        return None
    return partition(found["datacenter"], *(int(found[key]) for key in KEYS[1:]))


@lru_cache
def partition_at(datacenter: str, dt: str) -> str:
    """The partition of an event that was made at `dt`, an ISO 8601 time. Raises ValueError when it is none."""
    time = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", re.sub(r"\.\d+", "", dt)))
    time = time.astimezone(timezone.utc) if time.tzinfo else time
    return partition(datacenter, time.year, time.month, time.day, time.hour)


def partition(datacenter: str, *numbers: int) -> str:
    return "/".join([f"datacenter={datacenter}", *(f"{key}={number}" for key, number in zip(KEYS[1:], numbers, strict=True))])


def hour_of(partition: str) -> datetime:
    """When the events of a partition begin, in UTC."""
    return datetime(*(int(part.partition("=")[2]) for part in partition.split("/")[1:]), tzinfo=timezone.utc)  # type: ignore[arg-type,misc]


def datacenter_of(partition: str) -> str:
    return partition.split("/", 1)[0].partition("=")[2]
