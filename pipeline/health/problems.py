"""Something that is wrong with a stream, and how grave it is."""

from __future__ import annotations

from dataclasses import dataclass, field

STOPPED, ILL = "stopped", "ill"  # nothing goes on; a part of it


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, and the same for as long as its `key` is.

    `of`: models it is about; none when it is about the whole stream.
    """

    key: tuple[str, ...]
    severity: str
    text: str
    over: str  # what is said when it is over
    of: frozenset[str] = field(default_factory=frozenset)
