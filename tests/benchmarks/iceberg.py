"""What `publish` costs, and whether Spark and pyiceberg read the snapshots that it made as they were written,
before and after an hour was made anew.

    python -m tests.benchmarks.iceberg [--rows 100000,1000000] [--hdfs]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from pyiceberg.catalog import load_catalog
from pyiceberg.table import Table

import schemas
from runners.local_hdfs import LocalHdfs
from tests.benchmarks.inputs import events
from tests.benchmarks.measuring import measured, table
from tests.benchmarks.peers.run_pyspark import answers, build
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.storage_paths import Place, place_at
from transforms.elements import Score
from transforms.events.score_events import ScoreStream, revision_score

_CATALOG, _NAME = "lake", "mediawiki_revision_score_damaging"
_ROWS_OF_AN_HOUR = 50_000
_ABOUT: Mapping[str, Any] = {"failures": {}, "inputs": [], "rule": {}, "wikis": {}, "missing": []}
_Sums = dict[str, tuple[int, float]]  # by wiki, rows and the sum of the probabilities of `true`


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="100000,1000000", help="with commas between")
    parser.add_argument("--hdfs", action="store_true", help="dataset and warehouse lie in HDFS")
    arguments = parser.parse_args()
    build()
    told: list[list[str | float]] = []
    for rows in map(int, arguments.rows.split(",")):
        with (
            tempfile.TemporaryDirectory(prefix="benchmark-iceberg-") as name,
            LocalHdfs(Path(name) / "hdfs") if arguments.hdfs else nullcontext() as hdfs,
        ):
            told.append([f"{rows:,}", *_published(Path(name), hdfs.url if hdfs else name, rows)])
    header = ["rows", "seconds", "rows/s", "MB", "s for an hour made anew", "read alike"]
    print(table("`publish`, the whole command", header, told))


def _published(folder: Path, root: str, rows: int) -> list[str | float]:
    described = {
        "uri": f"sqlite:///{folder}/catalog.db",
        "warehouse": f"{root}/warehouse" if "://" in root else f"file://{root}/warehouse",
        "py-io-impl": "transforms.datasets.iceberg_io.DatasetFileIO",
    }
    for name in ("uri", "warehouse"):
        os.environ[f"PYICEBERG_CATALOG__{_CATALOG.upper()}__{name.upper()}"] = described[name]
    scores = place_at(f"{root}/scores")
    source, by_hour, expected, used = events(rows), dict[str, _Sums](), list[_Sums](), []
    command = ("pipeline", "publish", f"{root}/scores", "--catalog", _CATALOG, "--only", "damaging")
    for number in range(-(-rows // _ROWS_OF_AN_HOUR)):
        hour = f"datacenter=eqiad/year=2023/month=1/day={number // 24 + 1}/hour={number % 24}"
        by_hour[hour] = _write(scores, hour, islice(source, _ROWS_OF_AN_HOUR))
    expected.append(_together(by_hour))
    used.append(measured(*command))
    first = next(iter(by_hour))
    by_hour[first] = _write(scores, first, events(_ROWS_OF_AN_HOUR // 2))
    expected.append(_together(by_hour))
    used.append(measured(*command))
    made = load_catalog(_CATALOG, **described).load_table(("event", _NAME))
    by_pyiceberg = [_by_pyiceberg(made, snapshot.snapshot_id) for snapshot in made.snapshots()]
    alike = by_pyiceberg == _by_spark(made) == list(map(_rounded, expected))
    return [
        used[0].seconds,
        rows / used[0].seconds,
        used[0].peak_mb,
        used[1].seconds,
        "yes" if alike else "NO",
    ]


def _write(scores: Place, hour: str, some: Iterator[Mapping[str, Any]]) -> _Sums:
    """Writes an hour of the table; returns what is in it."""
    sums: _Sums = {}

    def rows() -> Iterator[Mapping[str, Any]]:
        for event in some:
            probability = event["rev_id"] % 1000 / 1000
            count, total = sums.get(event["database"], (0, 0.0))
            sums[event["database"]] = count + 1, total + probability
            score = Score("1", probability > 0.5, {"true": probability, "false": 1 - probability})
            yield revision_score(
                event,
                ScoreStream("damaging", "mediawiki.revision-score-damaging"),
                score,
                event["meta"]["dt"],
            )

    DatasetWriter(scores).replace(scores / _NAME / hour, schemas.REVISION_SCORE, rows(), lambda: _ABOUT)
    return sums


def _together(by_hour: Mapping[str, _Sums]) -> _Sums:
    sums: _Sums = {}
    for of_hour in by_hour.values():
        for wiki, (count, total) in of_hour.items():
            before = sums.get(wiki, (0, 0.0))
            sums[wiki] = before[0] + count, before[1] + total
    return sums


def _rounded(sums: _Sums) -> list[list[Any]]:
    """Sums of floats depend on their order."""
    return sorted([wiki, count, round(total, 3)] for wiki, (count, total) in sums.items())


def _by_pyiceberg(made: Table, snapshot: int) -> list[list[Any]]:
    sums: _Sums = {}
    for batch in made.scan(
        snapshot_id=snapshot, selected_fields=("database", "scores")
    ).to_arrow_batch_reader():
        for row in batch.to_pylist():
            count, total = sums.get(row["database"], (0, 0.0))
            sums[row["database"]] = (
                count + 1,
                total + dict(dict(row["scores"])["damaging"]["probability"])["true"],
            )
    return _rounded(sums)


def _by_spark(made: Table) -> list[list[list[Any]]]:
    snapshots = [str(snapshot.snapshot_id) for snapshot in made.snapshots()]
    found = answers("spark_iceberg.py", made.metadata_location, *snapshots)
    return [[[wiki, count, round(total, 3)] for wiki, count, total in answer] for answer in found]


if __name__ == "__main__":
    main()
