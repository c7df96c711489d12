"""Whether a stream can use its state's folder, and what of it a start would change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.checks.findings import Finding, ok, unseen, wrong
from pipeline.flink import state_folder, state_identity
from pipeline.flink.state_identity import Identity
from pipeline.usage_error import UsageError

_THING = "state"


def look(folder: Path, identity: Callable[[], Identity | None], *, adopt: bool) -> Iterator[Finding]:
    """Yields whether the folder can be written, and whether what is there belongs to this stream.

    `identity`: returns what the state of this stream belongs to, None where nobody knows; called only where
    something is there. `adopt`: what is there may belong to another stream.
    """
    try:
        state_folder.check(folder)
        room = state_folder.check_room(folder)
    except UsageError as error:
        yield wrong(_THING, error)
        return
    if room.is_nearly_full:
        yield wrong(_THING, f"--state: {room}, which is little; make room there")
    elif not state_identity.is_there(folder):
        yield ok(_THING, str(folder))
    else:
        yield _of_identity(folder, identity(), adopt)


def _of_identity(folder: Path, now: Identity | None, adopt: bool) -> Finding:
    if now is None:
        return unseen(
            _THING,
            f"{folder} can be written, and nothing tells whether what is there belongs to this stream",
        )
    try:
        before = state_identity.check(folder, now, adopt)
    except UsageError as error:
        return wrong(_THING, error)
    return ok(_THING, "; ".join([str(folder), *state_identity.changes(before, now)]))
