"""All files below a folder of a file system of fsspec, links to folders followed; what cannot be opened is
named, and no file comes twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from fsspec.asyn import AsyncFileSystem

from schemas.hive_layout import partition_of

Entry: TypeAlias = Mapping[str, Any]  # of fsspec: `name`, `type`, `size` and what its file system adds
_REAL = "real"  # our key of an entry: its name when all links are followed


class LeftOut(NamedTuple):
    """A file or folder that is not read."""

    path: str
    reason: str
    may_hold_events: bool


def walk(system: Any, root: str) -> tuple[list[Entry], list[LeftOut]]:
    """Returns the entries of all files below `root`, by name, and what was left out. Raises what the file
    system raises for `root` itself."""
    found = list(each_below(system, root))
    left_out = [each for each in found if isinstance(each, LeftOut)]
    return _each_once([each for each in found if not isinstance(each, LeftOut)], left_out), left_out


def each_below(system: Any, root: str) -> Iterator[Entry | LeftOut]:
    """Yields what `walk` returns as it is found, a file with two places twice. Raises what `walk` raises."""
    # an object store: it has no folders and no links, and lists a thousand keys at once
    if isinstance(system, AsyncFileSystem):
        found = [entry for name, entry in system.find(root, detail=True).items() if not name.endswith("/")]
        if not found:
            raise FileNotFoundError(root)
        yield from sorted(({**entry, _REAL: entry["name"]} for entry in found), key=_place)
    else:
        yield from _below(system, root, os.path.realpath(root), frozenset())


def _place(entry: Entry) -> list[str]:
    name: str = entry["name"]
    return name.split("/")


def _below(system: Any, folder: str, real: str, above: frozenset[str]) -> Iterator[Entry | LeftOut]:
    """`real`: where the folder lies when all links are followed; `above`: the same of the folders that it was
    found in."""
    above |= {real}
    try:
        entries = sorted(system.ls(folder, detail=True), key=_place)
    except OSError as error:
        if len(above) == 1:
            raise
        yield LeftOut(folder, f"cannot be opened: {error.strerror or error}", may_hold_events=True)
        return
    for listed in entries:
        name, entry = listed["name"], _followed(system, listed, real)
        if isinstance(entry, LeftOut) or entry["type"] == "file":
            yield entry
        elif entry["type"] != "directory":
            yield LeftOut(name, "not a regular file", may_hold_events=True)
        elif entry[_REAL] in above:
            yield LeftOut(name, "a link to a folder that it lies in", may_hold_events=False)
        else:
            yield from _below(system, name, entry[_REAL], above)


def _followed(system: Any, entry: Entry, real: str) -> Entry | LeftOut:
    """Returns an entry of the folder at `real`, or of a link what it leads to."""
    name: str = entry["name"]
    if not entry.get("islink"):
        return {**entry, _REAL: os.path.join(real, os.path.basename(name))}
    try:
        return {**system.info(name), _REAL: os.path.realpath(name)}
    except OSError as error:
        why = f"a link to {entry['destination']}, which cannot be opened: {error.strerror or error}"
        return LeftOut(name, why, may_hold_events=True)


def _each_once(files: list[Entry], left_out: list[LeftOut]) -> list[Entry]:
    """Returns each file once: one to which links lead as well, in the place that names its partition, or else
    in its own."""
    first: dict[str, Entry] = {}
    for entry in sorted(
        files,
        key=lambda entry: (partition_of(entry["name"]) is None, entry["name"] != entry[_REAL], _place(entry)),
    ):
        before = first.setdefault(entry[_REAL], entry)
        if before is not entry:
            left_out.append(
                LeftOut(entry["name"], f"the same file as {before['name']}", may_hold_events=False)
            )
    return sorted(first.values(), key=_place)
