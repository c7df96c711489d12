"""Where input files lie: on this machine, or in HDFS or S3 (`hdfs://host:port/…`, `s3://bucket/…?region=…`), which pyarrow reads.

Credentials come from the environment, as Hadoop's and Amazon's own commands take them: an address gets into reports and logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import urlsplit, urlunsplit

import pyarrow.fs as pafs


class Found(NamedTuple):
    path: str
    below: str  # the path below the place that was searched; empty for the place itself
    size: int  # bytes


def is_remote(path: str) -> bool:
    return "://" in path


def name_of(path: str) -> str:
    return urlsplit(path).path if is_remote(path) else path


def found_at(place: str) -> Iterator[Found]:
    """The file at a place, or all files below it. Raises FileNotFoundError when there is no such place, OSError when it cannot be reached, and
    ValueError when its address is none."""
    if is_remote(place):
        yield from _found_remotely(place)
        return
    root = Path(place)
    if not root.exists():
        raise FileNotFoundError(f"no such file or directory: {place}")
    if root.is_file():
        yield Found(place, "", root.stat().st_size)
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        if path.is_file():
            yield Found(str(path), str(path.relative_to(root)), path.stat().st_size)


def opened(path: str) -> BinaryIO:
    """The file, to be read and sought in."""
    if is_remote(path):
        file_system, inner = _file_system(path)
        return cast(BinaryIO, file_system.open_input_file(inner))
    return Path(path).open("rb")


def _found_remotely(place: str) -> Iterator[Found]:
    file_system, inner = _file_system(place)
    info = file_system.get_file_info(inner)
    if info.type == pafs.FileType.NotFound:
        raise FileNotFoundError(f"no such file or directory: {place}")
    if info.is_file:
        yield Found(place, "", info.size)
        return
    address, root = urlsplit(place), inner.rstrip("/")
    for file in sorted(file_system.get_file_info(pafs.FileSelector(inner, recursive=True)), key=lambda file: str(file.path)):
        if file.is_file:
            below = file.path[len(root) :].lstrip("/")
            yield Found(urlunsplit(address._replace(path=f"{address.path.rstrip('/')}/{below}")), below, file.size)


def _file_system(path: str) -> tuple[Any, str]:
    """The file system, and the path in its own words."""
    address = urlsplit(path)
    if "@" in address.netloc:
        raise ValueError(f"{address.scheme}://…@…: expected an address without a name and a password; give them by the environment")
    inner = address.path if address.scheme != "s3" else address.netloc + address.path
    return _connected(urlunsplit(address._replace(path="/"))), inner


@lru_cache
def _connected(root: str) -> Any:
    file_system, _ = pafs.FileSystem.from_uri(root)
    return file_system
