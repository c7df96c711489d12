"""What became of a request, as it waits in Flink's state for the others of its revision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from transforms.async_io.state_codec import UnknownFormatError
from transforms.events.combined_events import Part

_VERSION = 1  # of what waits in state; each version of this code reads the one before, too


class Outcome(NamedTuple):
    """What became of one request, and whose outcomes are expected for its revision."""

    datacenter: str
    expected: Sequence[str]  # models
    part: Part


def encode_outcome(outcome: Outcome) -> bytes:
    """Returns an outcome as it waits in state: JSON with a version, so that a savepoint outlives a change of
    this code."""
    return orjson.dumps(
        {
            "v": _VERSION,
            "datacenter": outcome.datacenter,
            "expected": outcome.expected,
            "part": outcome.part._asdict(),
        }
    )


def decode_outcome(encoded: bytes) -> Outcome:
    """Returns what `encode_outcome` wrote. Raises UnknownFormatError for what another version wrote."""
    value = orjson.loads(encoded)
    if not isinstance(value, dict) or value.get("v") != _VERSION:
        raise UnknownFormatError(
            f"expected outcomes in format {_VERSION}, got {encoded[:20]!r}; go on with the version that "
            "wrote this state"
        )
    return Outcome(value["datacenter"], value["expected"], Part(**value["part"]))
