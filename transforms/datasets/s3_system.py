"""S3 as a file system of fsspec that raises OSError for whatever goes wrong, as one of this machine does."""

from __future__ import annotations

from typing import Any

from s3fs import S3FileSystem


class S3(S3FileSystem):
    async def _call_s3(self, *arguments: Any, **named: Any) -> Any:
        try:
            return await super()._call_s3(*arguments, **named)
        except OSError:
            raise
        except Exception as error:  # of botocore and of what lies below it
            raise OSError(str(error)) from error
