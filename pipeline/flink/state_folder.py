"""The folder of a stream, a part of `--state` for each `--group`: one run at a time writes there."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from pipeline.process import directory_lock
from pipeline.process.disk import Room, room_at
from pipeline.usage_error import UsageError


def folder_of(state: Path, group: str) -> Path:
    """Returns the folder of a stream with these options."""
    return state.resolve() / group


def make(state: Path) -> None:
    """Makes the folder. Raises UsageError when it cannot be made, or has too little room."""
    try:
        check_room(state)
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_be_made(state, error) from error


def check(state: Path) -> None:
    """Raises UsageError unless a run could write there now. Leaves nothing behind."""
    try:
        there = next(folder for folder in (state, *state.parents) if folder.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
        if (state / "lock").exists():
            with locked(state):
                pass
    except OSError as error:
        raise _cannot_be_made(state, error) from error


def check_room(state: Path) -> Room:
    """Raises UsageError when there is too little for a stream to begin, OSError when the disk does not
    tell."""
    room = room_at(state)
    if room.is_too_small:
        raise UsageError(f"--state: only {room}; make room there, or name another folder")
    return room


def locked(state: Path) -> AbstractContextManager[None]:
    """Holds the lock of the folder while the context is open. Raises UsageError when another stream has it:
    two runs in one place would take each other's checkpoints for their own."""
    return directory_lock.locked(
        state, f"--state: another stream works in {state}; stop it, or name another --group or --state"
    )


def _cannot_be_made(state: Path, error: OSError) -> UsageError:
    return UsageError(
        f"--state: nothing can be written in {state}: {error.strerror}; make that possible, or name "
        "another folder"
    )
