"""Times on the command line."""

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
