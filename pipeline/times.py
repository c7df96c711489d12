"""Times on the command line, and durations in sentences."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from pipeline.usage_error import UsageError


def time_of(option: str, given: str | None) -> datetime | None:
    """Returns the time that an option says, in UTC where it names no zone. Raises UsageError."""
    if given is None:
        return None
    try:
        time = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", given))
    except ValueError as error:
        raise UsageError(f"{option}: expected a time such as 2024-02-15T13:00, got {given!r}") from error
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def duration(seconds: float) -> str:
    """Such as: 0.34 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds >= 1 else f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
