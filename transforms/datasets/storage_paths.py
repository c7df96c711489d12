"""Where datasets lie: folders of this machine, of HDFS and of S3, under the methods of pathlib; and what
pathlib has no method for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import urlencode

from upath import UPath

from transforms.datasets.filesystem import is_remote, located, look_first
from transforms.datasets.folder_walk import LeftOut, each_below

_AT_ONCE = 16
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
Place: TypeAlias = "Path | UPath"  # a UPath is never of this machine


def place_at(text: str) -> Place:
    """Returns the place of a path or of an address (`hdfs://…`, `s3://…`). Raises ValueError for another
    address."""
    if not is_remote(text):
        return Path(text)
    protocol, inner, options = located(text)
    if protocol == "file":
        return Path(inner)
    place: UPath = UPath(f"{protocol}://{inner}", **options)
    return place


def reach(place: Place) -> None:
    """Raises OSError, within seconds, when nobody answers at a place."""
    if not isinstance(place, Path):
        look_first(place.protocol, place.storage_options)
    place.exists()


def address_of(place: Place) -> str:
    """Returns the text that `place_at` makes the same place of."""
    if isinstance(place, Path):
        return str(place)
    options = place.storage_options
    if place.protocol == "hdfs":
        host, port = options.get("host") or "", options.get("port")
        return f"hdfs://{host}{f':{port}' if port else ''}{place.path}"
    settings = options.get("client_kwargs", {})
    scheme, _, endpoint = settings.get("endpoint_url", "").partition("://")
    asked = {"scheme": scheme, "region": settings.get("region_name"), "endpoint_override": endpoint}
    query = urlencode({name: value for name, value in asked.items() if value}, safe=":/")
    return f"{place.protocol}://{place.path}{f'?{query}' if query else ''}"


def below(place: Place, root: Place) -> str:
    """Returns the path of a place below another."""
    return str(place.relative_to(root))  # type: ignore[arg-type]  # both are of one kind


def files_under(place: Place) -> Iterator[Place]:
    """Yields all files below a folder, links to folders followed; none when there is no such folder.

    Raises OSError for a folder that may not be opened: what it holds must not be taken for missing."""
    if isinstance(place, Path):
        yield from _local_files(place)
    elif place.is_dir():
        start = len(place.path.rstrip("/")) + 1
        for found in each_below(place.fs, place.path):
            if isinstance(found, LeftOut):
                raise OSError(f"{found.path} {found.reason}")
            yield place / found["name"][start:]


def sizes_in(place: Place) -> dict[str, int]:
    """Returns the files in a folder by name, with their bytes; none when there is no such folder. Raises
    OSError."""
    try:
        if isinstance(place, Path):
            return {path.name: path.stat().st_size for path in sorted(place.iterdir()) if path.is_file()}
        entries = place.fs.ls(place.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    files = (
        (entry["name"].rpartition("/")[2], entry["size"]) for entry in entries if entry["type"] == "file"
    )
    return dict(sorted(files))


def subfolders(place: Place) -> list[str]:
    """Returns the names of the folders in a folder, in order; none when there is no such folder. Raises
    OSError."""
    try:
        if isinstance(place, Path):
            return sorted(path.name for path in place.iterdir() if path.is_dir())
        entries = place.fs.ls(place.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        entry["name"].rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == "directory"
    )


def _local_files(place: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(place, onerror=stop, followlinks=True) if place.is_dir() else ():
        yield from (Path(folder, name) for name in names)


def each_at(
    place: Place, action: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int = _AT_ONCE
) -> list[_Result]:
    """Does the same with each item, and returns what comes of it, in their order: several at a time where
    each waits for another machine, else one after the other. Raises what the action raises."""
    return list(map(action, items)) if isinstance(place, Path) else in_threads(action, items, at_once)


def in_threads(
    action: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int = _AT_ONCE
) -> list[_Result]:
    """Does the same with several items at a time, and returns what comes of it, in their order. Raises what
    the action raises."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(action, items))


def remove_tree(place: Place) -> None:
    """Removes a folder with all below it; what is not there, or does not go, stays."""
    if isinstance(place, Path):
        shutil.rmtree(place, ignore_errors=True)
    else:
        with suppress(OSError):
            place.fs.rm(place.path, recursive=True)


def clear(place: Place, but: str) -> None:
    """Removes all that lies in a folder, but for the file of that name. Raises OSError."""
    there: list[Place] = [*place.iterdir()]
    for each in there:
        if each.is_dir():
            remove_tree(each)
        elif each.name != but:
            each.unlink()


def remove_empty(place: Place) -> None:
    """Removes a folder in which there is nothing."""
    with suppress(OSError):
        if isinstance(place, Path):
            place.rmdir()
        else:
            place.fs.rmdir(place.path)


def os_reason(error: OSError) -> str:
    """Returns what an error says; not every file system has a `strerror`."""
    return error.strerror or str(error)
