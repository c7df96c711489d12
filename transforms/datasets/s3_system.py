"""S3 as a file system of fsspec that raises OSError for whatever goes wrong, as one of this machine does."""

from __future__ import annotations

import errno
from typing import Any

from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem


class S3(S3FileSystem):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._buckets: set[str] = set()  # that are there

    async def _call_s3(self, *arguments: Any, **named: Any) -> Any:
        try:
            return await super()._call_s3(*arguments, **named)
        except OSError:
            raise
        except Exception as error:  # of botocore and of what lies below it
            raise OSError(str(error)) from error

    async def _mkdir(self, path: str, *_arguments: Any, **_named: Any) -> None:
        """Makes nothing: S3 has no folders, and a bucket is made by whoever answers for it, not by a name
        that is misspelt. Raises FileNotFoundError when there is no such bucket."""
        bucket = self.split_path(path)[0]
        if bucket not in self._buckets:
            try:
                await self._call_s3("head_bucket", Bucket=bucket)
            except FileNotFoundError as error:
                raise FileNotFoundError(errno.ENOENT, "there is no such bucket", bucket) from error
            self._buckets.add(bucket)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        await self._mkdir(path)

    mkdir = sync_wrapper(_mkdir)
    makedirs = sync_wrapper(_makedirs)
