"""Something that is wrong with a stream, and how grave it is."""

from __future__ import annotations

from dataclasses import dataclass, field

STOPPED, ILL = "stopped", "ill"  # nothing goes on; a part of it


@dataclass(frozen=True)
class Problem:
    """Something that is wrong; two with the same `key` are the same problem, whatever their figures.

    `models`: those that it is about; none when it is about the whole stream.
    """

    key: tuple[str, ...]
    severity: str  # STOPPED or ILL
    text: str
    over: str  # to be said when it is over
    models: frozenset[str] = field(default_factory=frozenset)
