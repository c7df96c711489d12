"""HDFS and S3 as file systems of fsspec that raise OSError for whatever goes wrong, as one of this machine
does."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import fsspec
from hdfs_native import Client, FileReader
from hdfs_native.fsspec import HdfsFileSystem
from s3fs import S3FileSystem

# to begin with, nobody waits for a NameNode that is away; later a client tries for some minutes
_FIRST_LOOK = {"dfs.client.failover.max.attempts": "3", "dfs.client.failover.sleep.base.millis": "200"}


_BUFFER = 1 << 20  # bytes


@contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise OSError(_message_of(error)) from error


def _message_of(error: Exception) -> str:
    """What HDFS says, without the stack trace of its server."""
    found = re.fullmatch(r'\w+\("[\w.$]+", "(.*?)(?:\\n.*)?"\)', str(error))
    return found[1].replace('\\"', '"') if found else str(error)


class _HdfsClient:
    """A client of HDFS that raises OSError."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def ask(*arguments: Any, **named: Any) -> Any:
            with _os_errors():
                return method(*arguments, **named)

        return ask


class _HdfsReader(io.RawIOBase):
    """A file of HDFS as Python's buffers read one, which hdfs_native's own lacks the methods for."""

    def __init__(self, file: FileReader) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _os_errors():
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._file.seek(offset, whence)
        return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()


class _Hdfs(HdfsFileSystem):
    def __init__(self, host: str | None = None, port: int | None = None, **options: Any) -> None:
        super().__init__(host, port, **options)
        self.client = cast(Client, _HdfsClient(self.client))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:  # type: ignore[override]
        file = super()._open(path, mode, **options)
        return io.BufferedReader(_HdfsReader(file), _BUFFER) if mode == "rb" else file

    def ls(self, *arguments: Any, **named: Any) -> Any:
        with _os_errors():
            return super().ls(*arguments, **named)

    def put_file(self, *arguments: Any, **named: Any) -> None:
        with _os_errors():
            super().put_file(*arguments, **named)


class _S3(S3FileSystem):
    async def _call_s3(self, *arguments: Any, **named: Any) -> Any:
        try:
            return await super()._call_s3(*arguments, **named)
        except OSError:
            raise
        except Exception as error:  # of botocore and of what lies below it
            raise OSError(str(error)) from error


fsspec.register_implementation("hdfs", _Hdfs, clobber=True)
fsspec.register_implementation("s3", _S3, clobber=True)


@lru_cache(maxsize=100)
def look_first(host: str | None, port: int | None) -> None:
    """Asks a NameNode for its root, once in a process. Raises OSError when none answers within seconds."""
    url = f"hdfs://{host or ''}{f':{port}' if port else ''}"
    try:
        Client(url, _FIRST_LOOK).get_file_info("/")
    except (OSError, RuntimeError) as error:
        raise OSError(f"{url} does not answer: {_message_of(error)}") from error
