"""Files that are there whole or not at all, and still there after the machine stopped."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from upath import UPath

from transforms.datasets.storage_paths import Place

_RENAMES = ("hdfs",)  # file systems that rename a file over another at once; an object appears at once


def sync(path: Path) -> None:
    """Flushes a file or a folder to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(place: Place, content: bytes) -> None:
    """Writes a file whole or not at all, in place of the one that is there. Raises OSError."""
    if isinstance(place, Path):
        new = place.with_name(f"{place.name}.new")
        new.write_bytes(content)
        publish(new, place)
    else:
        _write_whole(place, lambda path: place.fs.pipe_file(path, content))


def publish(file: Path, place: Place) -> None:
    """Puts a file of this machine in its place, where readers find the one that was there or this one, whole.
    A place of this machine has to be on the same file system, and the file is moved. Raises OSError."""
    if isinstance(place, Path):
        sync(file)
        move(file, place)
    else:
        _write_whole(place, lambda path: place.fs.put_file(str(file), path))


def move(source: Place, place: Place) -> None:
    """Puts a file that lies in the same file system in its place, as `publish` does. Raises OSError."""
    if isinstance(source, Path) or isinstance(place, Path):  # both, as they lie in one
        os.replace(str(source), str(place))
        sync(Path(str(place.parent)))
    elif source.protocol in _RENAMES:
        source.fs.mv(source.path, place.path, overwrite=True)
    else:
        source.fs.cp_file(source.path, place.path)
        source.unlink()


def _write_whole(place: UPath, write: Callable[[str], None]) -> None:
    """Has a file written to its place, or beside it where others could see a part of it."""
    if place.protocol not in _RENAMES:
        write(place.path)
        return
    new = place.with_name(f".{place.name}.{uuid4()}.new")  # readers pass over names with a dot
    try:
        write(new.path)
        move(new, place)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
