"""Edits of two datacenters, as EventStreams sends them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from tests.support.events import edit

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def event(number: int, datacenter: str = "eqiad", **changes: Any) -> tuple[str, dict[str, Any], str]:
    """Topic, event and time; ten come in one millisecond of each second."""
    dt = (START + timedelta(seconds=number // 10)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (
        f"{datacenter}.edits",
        edit(
            rev_id=1000 + number,
            meta={"id": f"id {number}", "dt": dt, "domain": "en.wikipedia.org", "stream": "s"},
            dt=dt,
            **changes,
        ),
        dt,
    )


def both(count: int) -> list[tuple[str, dict[str, Any], str]]:
    return [event(number, "codfw" if number % 3 == 2 else "eqiad") for number in range(count)]
