"""A partition that is overwritten again and again while pyarrow, DuckDB and Spark read all its rows: whether
each read is of the old rows or of the new, whole.

    python -m tests.benchmarks.overwrites [--times 200] [--rows 5000] [--stores local,hdfs,s3]

It is overwritten until each has read it as often, too. A read that ends with an error is counted apart: its
reader was told. Spark reads no S3 here, for which it needs Amazon's SDK. Exit code 1 when a read was torn.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow.dataset as pads
import pytest

import schemas
from tests.benchmarks.inputs import ROOT
from tests.benchmarks.measuring import table
from tests.benchmarks.peers.run_pyspark import build, command
from tests.support.stores import hdfs_store, s3_store
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.filesystem import for_arrow, located, name_of
from transforms.datasets.manifests import files_below
from transforms.datasets.storage_paths import Place, address_of, place_at

_PARTITION = "mediawiki_revision_score_damaging/datacenter=eqiad/year=2023/month=1/day=24/hour=0"
_READS_FIRST = 3  # by each reader, before the first overwrite
_PATIENCE_S = 120
Read = Callable[[], Mapping[int, int]]  # how many rows of which generation, the `page_id`


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--stores", default="local,hdfs,s3")
    arguments = parser.parse_args()
    build()
    told, is_torn = list[list[str | float]](), False
    for store in arguments.stores.split(","):
        with tempfile.TemporaryDirectory(prefix="benchmark-overwrites-") as name, _root(store, name) as root:
            reads = _overwritten(place_at(root), Path(name), arguments.times, arguments.rows, store != "s3")
        for reader, found in reads.items():
            whole = sum(_is_whole(each, arguments.rows) for each in found)
            errors = Counter(each for each in found if isinstance(each, str))
            generations = {page for each in found if not isinstance(each, str) for page in each}
            torn = len(found) - whole - errors.total()
            told.append([store, reader, *map(str, (len(found), len(generations), torn, errors.total()))])
            is_torn |= torn > 0
            for error, times in errors.most_common(3):
                print(f"{store}, {reader}: {times} × {error}")
    header = ["", "", "reads", "of so many versions", "torn", "told of an error"]
    print(table(f"{arguments.times} overwrites or more, of {arguments.rows:,} rows", header, told))
    return int(is_torn)


@contextmanager
def _root(store: str, folder: str) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        if store == "local":
            yield f"{folder}/scores"
        elif store == "hdfs":
            with hdfs_store(Path(folder) / "hdfs") as hdfs:
                yield hdfs / "scores"
        else:
            with s3_store(monkeypatch) as s3:
                yield s3 / "scores"


def _overwritten(
    root: Place, folder: Path, times: int, rows: int, with_spark: bool
) -> dict[str, list[Mapping[int, int] | str]]:
    """Returns what each reader found, read by read; text for an error."""
    writer, target = DatasetWriter(root), root / _PARTITION

    def write(version: int) -> None:
        writer.replace(target, schemas.REVISION_SCORE, _rows(version, rows), dict)

    write(0)
    end = folder / "end"
    readers = {"pyarrow": _pyarrow(target), "duckdb": _duckdb(target)}
    found: dict[str, list[Mapping[int, int] | str]] = {name: [] for name in readers}
    threads = [
        threading.Thread(target=_read_until, args=(end, read, found[name])) for name, read in readers.items()
    ]
    spark = _spark(target, end, found.setdefault("spark", [])) if with_spark else None
    for thread in threads:
        thread.start()
    _wait_for(lambda: all(len(of_reader) >= _READS_FIRST for of_reader in found.values()))
    for version in count(1):
        write(version)
        if version >= times and all(len(of_reader) >= times for of_reader in found.values()):
            break
    end.touch()
    for thread in [*threads, *([spark] if spark else [])]:
        thread.join()
    return found


def _rows(version: int, rows: int) -> Iterator[Mapping[str, Any]]:
    said = {"model_name": "damaging", "model_version": "1", "prediction": ["true"]}
    scores = {"damaging": {**said, "probability": {"true": 0.9, "false": 0.1}}}
    for number in range(rows):
        yield {"database": "enwiki", "rev_id": number, "page_id": version, "scores": scores}


def _pyarrow(target: Place) -> Read:
    def read() -> Mapping[int, int]:
        paths, system = for_arrow([*map(address_of, files_below(target))])
        versions = pads.dataset(paths, format="parquet", filesystem=system).to_table(["page_id"])["page_id"]
        return Counter(versions.to_pylist())

    return read


def _duckdb(target: Place) -> Read:
    address = name_of(address_of(target))
    connection = duckdb.connect()
    if not isinstance(target, Path):
        protocol, _, options = located(address_of(target))
        connection.register_filesystem(fsspec.filesystem(protocol, **options))
    asked = f"select page_id, count(*) from read_parquet('{address}/part-*') group by page_id"
    return lambda: dict(connection.execute(asked).fetchall())


def _read_until(end: Path, read: Read, found: list[Mapping[int, int] | str]) -> None:
    while not end.exists():
        try:
            found.append(read())
        except Exception as error:  # whatever a reader says of a file that is another now
            found.append(str(error).strip().splitlines()[0][:200])


def _spark(target: Place, end: Path, found: list[Mapping[int, int] | str]) -> threading.Thread:
    process = subprocess.Popen(
        command("spark_overwrites.py", address_of(target), str(end)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def hear() -> None:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("read "):
                told = json.loads(line.removeprefix("read "))
                found.append(
                    told if isinstance(told, str) else {int(page): rows for page, rows in told.items()}
                )

    thread = threading.Thread(target=hear)
    thread.start()
    return thread


def _wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("a reader does not read")
        time.sleep(0.05)


def _is_whole(found: Mapping[int, int] | str, rows: int) -> bool:
    return not isinstance(found, str) and list(found.values()) == [rows]


if __name__ == "__main__":
    sys.exit(main())
