"""Where datasets lie beside this machine: a real HDFS, and S3 by a server on loopback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from runners.local_hdfs import LocalHdfs
from transforms.datasets.filesystem import located

BUCKET = "datasets"


@dataclass(frozen=True)
class Store:
    """A file system with nothing in it but what a test puts there."""

    root: str  # an address without options
    options: str = ""  # of an address

    def __truediv__(self, path: str) -> str:
        return f"{self.root}/{path}{self.options}"

    def put(self, folder: Path, path: str) -> str:
        """Copies a folder of this machine there; returns its address."""
        system, inner = self._at(path)
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            system.put_file(str(file), f"{inner}/{file.relative_to(folder)}")
        return self / path

    def get(self, path: str, folder: Path) -> Path:
        """Copies what lies there into a folder of this machine."""
        system, inner = self._at(path)
        for name in system.find(inner):
            file = folder / name[len(inner) + 1 :]
            file.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(name, str(file))
        return folder

    def names(self, path: str) -> list[str]:
        """All files below a path, by name."""
        system, inner = self._at(path)
        return sorted(name[len(inner) + 1 :] for name in system.find(inner))

    @property
    def system(self) -> Any:
        protocol, _, options = located(self / "")
        return fsspec.filesystem(protocol, **options)

    def _at(self, path: str) -> tuple[Any, str]:
        return self.system, located(self / path)[1]


@contextmanager
def hdfs_store(folder: Path) -> Iterator[Store]:
    with LocalHdfs(folder) as hdfs:
        yield Store(f"{hdfs.url}/user/ml")


@contextmanager
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """S3 on loopback, and the name and password for it in the environment: HOST:PORT."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "name")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "password")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"{host}:{port}"
    finally:
        server.stop()


@contextmanager
def s3_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with s3_server(monkeypatch) as address:
        store = Store(f"s3://{BUCKET}/ml", f"?scheme=http&region=us-east-1&endpoint_override={address}")
        store.system.call_s3("create_bucket", Bucket=BUCKET)
        yield store
