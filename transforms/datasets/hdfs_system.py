"""HDFS as a file system of fsspec that raises OSError for whatever goes wrong, as one of this machine
does."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from typing import Any, TypeVar, cast

from fsspec import AbstractFileSystem
from hdfs_native import Client, FileReader
from hdfs_native.fsspec import HdfsFileSystem
from typing_extensions import Self

# to begin with, nobody waits for a NameNode that is away; later each question waits for it for a minute
_FIRST_LOOK = {"dfs.client.failover.max.attempts": "3", "dfs.client.failover.sleep.base.millis": "200"}
_LATER = {"dfs.client.failover.max.attempts": "8"}
_BUFFER = 1 << 20  # bytes
_PATIENCE_S, _PAUSE_S = 60.0, 1.0
# what HDFS says while it starts, or hands over to another NameNode
_STARTING = re.compile(
    "SafeModeException|RetriableException|StandbyException|minReplication|All DataNodes failed"
)

Answer = TypeVar("Answer")


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Returns what HDFS answers; while it starts, and is not whole yet, asks again for a minute. Raises
    OSError."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return ask()
        except RuntimeError as error:
            if not _STARTING.search(str(error)) or time.monotonic() > end:
                raise OSError(_message_of(error)) from error
        time.sleep(_PAUSE_S)


def _message_of(error: Exception) -> str:
    """Returns what HDFS says, without the stack trace of its server."""
    found = re.fullmatch(r'\w+\("[\w.$]+", "(.*?)(?:\\n.*)?"\)', str(error))
    return found[1].replace('\\"', '"') if found else str(error)


def _url_of(host: str | None, port: int | None) -> str:
    return f"hdfs://{host or ''}{f':{port}' if port else ''}"


class _HdfsClient:
    """A client of HDFS that raises OSError."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def ask(*arguments: Any, **named: Any) -> Any:
            return _patiently(partial(method, *arguments, **named))

        return ask


class _HdfsReader(io.RawIOBase):
    """A file of HDFS as Python's buffers read one, which hdfs_native's own lacks the methods for."""

    def __init__(self, file: FileReader) -> None:
        self._file, self._size, self._position = file, len(file), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), max(0, self._size - self._position))
        if size:
            buffer[:size] = _patiently(partial(self._file.read_range, self._position, size))
            self._position += size
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        since = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        self._position = since[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position


class _FileForThreads:
    """An open file in which each thread has a position and a buffer of its own: DuckDB seeks and reads one
    from several threads."""

    def __init__(self, file: FileReader) -> None:
        self._file, self._of_thread = file, threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._reader)

    @property
    def _reader(self) -> io.BufferedReader:
        if not hasattr(self._of_thread, "reader"):
            self._of_thread.reader = io.BufferedReader(_HdfsReader(self._file), _BUFFER)
        return cast(io.BufferedReader, self._of_thread.reader)


@cache
def _client_of(url: str) -> _HdfsClient:
    """Returns the one client of a process for all its threads. It is kept: fsspec lets file systems go in a
    child that was forked, where a client would wait for ever for its threads to end."""
    return _HdfsClient(Client(url, _LATER))


class Hdfs(HdfsFileSystem):
    def __init__(self, host: str | None = None, port: int | None = None, **options: Any) -> None:
        AbstractFileSystem.__init__(self, host, port, **options)  # ours makes the client
        self.host, self.port = host, port
        self.client = cast(Client, _client_of(_url_of(host, port)))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:  # type: ignore[override]
        file = super()._open(path, mode, **options)
        return _FileForThreads(file) if mode == "rb" else file

    def ls(self, *arguments: Any, **named: Any) -> Any:
        return _patiently(partial(super().ls, *arguments, **named))

    def put_file(self, *arguments: Any, **named: Any) -> None:
        _patiently(partial(super().put_file, *arguments, **named))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        def write() -> None:
            with self.open(path, "wb", overwrite=mode == "overwrite", **options) as file:
                file.write(value)

        _patiently(write)

    @staticmethod
    @lru_cache(maxsize=100)
    def look_first(host: str | None, port: int | None) -> None:
        """Asks a NameNode for its root, once in a process. Raises OSError when none answers within
        seconds."""
        url = _url_of(host, port)
        try:
            Client(url, _FIRST_LOOK).get_file_info("/")
        except (OSError, RuntimeError) as error:
            raise OSError(f"{url} does not answer: {_message_of(error)}") from error
