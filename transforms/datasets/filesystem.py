"""The file systems that files lie in, by fsspec: this machine, HDFS (`hdfs://host:port/…`) and S3
(`s3://bucket/…?region=…&endpoint_override=…`).

Credentials come from the environment, as Hadoop's and Amazon's own commands take them: an address gets into
reports and logs.
"""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import parse_qsl

import fsspec
from pyarrow.fs import FSSpecHandler, PyFileSystem

from schemas.hive_layout import mark_in
from transforms.datasets.folder_walk import Entry, LeftOut, walk

# of an address in S3; any other ? is part of a key
_OPTIONS = re.compile(r"\?((?:(?:region|scheme|endpoint_override)=[^&?#]*(?:&|$))+)$")

_BUFFER = 1 << 20  # bytes

# by name: imported when the first address asks for them
fsspec.register_implementation("hdfs", "transforms.datasets.hdfs_system.Hdfs", clobber=True)
fsspec.register_implementation("s3", "transforms.datasets.s3_system.S3", clobber=True)


class FoundFile(NamedTuple):
    path: str  # to open it by; bytes that are no UTF-8 are surrogates, as in os.listdir
    below: str  # the path below the place that was searched; empty for the place itself
    size: int  # bytes
    # another text when the content is another: an ETag, or the time of the last change; empty where unknown
    version: str


class Listing(NamedTuple):
    files: list[FoundFile]
    left_out: list[LeftOut]
    marks: Counter[str]  # what readers of Hive tables pass over (_SUCCESS, *.crc), by kind


def printable(path: str) -> str:
    """Returns the path as text that can be printed and encoded: bytes that are no UTF-8 as \\xff."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_remote(path: str) -> bool:
    return "://" in path


def name_of(path: str) -> str:
    """Returns the path without the options of its address."""
    return _OPTIONS.sub("", path) if is_remote(path) else path


def open_file(path: str) -> BinaryIO:
    """Opens a file to be read and sought in. Raises OSError, and what its file system raises beside that."""
    if not is_remote(path):
        return Path(path).open("rb")
    system, inner = _file_system(path)
    return cast(BinaryIO, io.BufferedReader(system.open(inner, "rb"), _BUFFER))


def for_arrow(paths: Sequence[str]) -> tuple[list[str], PyFileSystem | None]:
    """Returns files of one file system as pyarrow.dataset takes them, and its file system; None: this
    machine's."""
    if not paths or not is_remote(paths[0]):
        return list(paths), None
    system, _ = _file_system(paths[0])
    return [located(path)[1] for path in paths], PyFileSystem(FSSpecHandler(system))


def list_files(place: str) -> Listing:
    """Lists the file at a place, or all files below it, and what else there is.

    Raises FileNotFoundError when there is no such place, OSError when it cannot be reached, ValueError when
    it is not an address.
    """
    system, root = (
        _file_system(place) if is_remote(place) else (fsspec.filesystem("file"), os.path.abspath(place))
    )
    try:
        entry = system.info(root)
        if entry["type"] != "directory":
            return Listing([FoundFile(place, "", entry["size"] or 0, _version(entry))], [], Counter())
        entries, left_out = walk(system, entry["name"])
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no such file or directory: {place}") from error
    except Exception as error:  # each system has errors of its own, such as botocore's
        raise OSError(f"{place} cannot be listed: {error}") from error
    return _listing(place, len(entry["name"].rstrip("/")) + 1, entries, left_out)


def version_of(path: str) -> str:
    """Returns the FoundFile.version of a file. Raises OSError."""
    system, inner = _file_system(path) if is_remote(path) else (fsspec.filesystem("file"), path)
    return _version(system.info(inner))


def _listing(place: str, start: int, entries: list[Entry], left_out: list[LeftOut]) -> Listing:
    """`start`: where in the name of an entry the path below the place begins."""
    before, options = name_of(place).rstrip("/"), place[len(name_of(place)) :]
    listing = Listing([], [], Counter())
    for entry in entries:
        below = entry["name"][start:]
        if mark := mark_in(below):
            listing.marks[mark] += 1
        else:
            listing.files.append(
                FoundFile(f"{before}/{below}{options}", below, entry["size"] or 0, _version(entry))
            )
    for left in left_out:
        if mark := mark_in(left.path[start:]):
            listing.marks[mark] += 1
        else:
            listing.left_out.append(left._replace(path=f"{before}/{left.path[start:]}{options}"))
    return listing


def _version(entry: Entry) -> str:
    if etag := entry.get("ETag"):
        return str(etag).strip('"')
    changed = entry.get("mtime") or entry.get("LastModified")
    if milliseconds := entry.get("modification_time"):  # of HDFS
        changed = milliseconds / 1000
    if isinstance(changed, float | int):
        changed = datetime.fromtimestamp(changed, timezone.utc)
    return changed.isoformat() if isinstance(changed, datetime) else ""


def _file_system(address: str) -> tuple[Any, str]:
    """Returns the file system of an address, and the path in its own words. Raises OSError for a NameNode
    that is not there."""
    protocol, inner, options = located(address)
    look_first(protocol, options)
    return fsspec.filesystem(protocol, **options), inner


def look_first(protocol: str, options: Mapping[str, Any]) -> None:
    """Raises OSError, within seconds, where that of an address is a NameNode that does not answer."""
    if protocol == "hdfs":
        fsspec.get_filesystem_class(protocol).look_first(**options)


def located(address: str) -> tuple[str, str, dict[str, Any]]:
    """Returns the protocol of an address, the path in its file system's own words, and the options with which
    fsspec makes that file system. Raises ValueError for an address that nobody reads."""
    protocol, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    if "@" in host:
        raise ValueError(
            f"{protocol}://…@…: expected an address without a name and a password; give them by the "
            "environment"
        )
    if protocol == "file":
        return protocol, rest, {}
    if protocol in ("s3", "s3a"):
        options = _OPTIONS.search(rest)
        return "s3", _OPTIONS.sub("", rest), _s3_options(dict(parse_qsl(options[1])) if options else {})
    if protocol == "hdfs":
        name, _, port = host.partition(":")
        # without a name it is the one of the cluster's core-site.xml
        return protocol, slash + path, {"host": name or None, "port": int(port) if port else None}
    raise ValueError(f"{protocol}://: expected a path on this machine, hdfs://… or s3://…")


def _s3_options(options: dict[str, str]) -> dict[str, Any]:
    endpoint = options.get("endpoint_override")
    settings = {
        "region_name": options.get("region"),
        "endpoint_url": f"{options.get('scheme', 'https')}://{endpoint}" if endpoint else None,
    }
    return {
        "client_kwargs": {name: value for name, value in settings.items() if value},
        "use_listings_cache": False,
    }
