"""`publish` where the data live: tables of Iceberg in a real HDFS, and in S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from pyiceberg.catalog import Catalog

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import DAMAGING, command, hourly, rows
from tests.support.iceberg import CATALOG, NAMESPACE, catalog_in, rows_of
from tests.support.stores import Store, hdfs_store, s3_store


@pytest.fixture(params=["hdfs", "s3"])
def lake(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Store, Catalog]]:
    """A store, and a catalog whose warehouse is in it."""
    if request.param == "hdfs":
        with hdfs_store(tmp_path / "hdfs") as store:
            yield store, catalog_in(tmp_path, monkeypatch, f"{store.root}/warehouse")
    else:
        with s3_store(monkeypatch) as store:
            endpoint = f"http://{store.options.rpartition('=')[2]}"
            s3 = {"s3.endpoint": endpoint, "s3.region": "us-east-1"}
            yield store, catalog_in(tmp_path, monkeypatch, f"{store.root}/warehouse", **s3)


def test_tables_have_the_rows_of_the_dataset_before_and_after_it_was_made_anew(
    lake: tuple[Store, Catalog], lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    store, catalog = lake
    in_dataset: list[list[Any]] = []
    for edits, options in ((200, ()), (120, ("--overwrite",))):
        done = command(
            *("regenerate", "--input", hourly(tmp_path / str(edits), edits), "--output", store / "scores"),
            *("--lift-wing", lift_wing.url, "--only", "damaging", "--catalog", CATALOG, *options),
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert f"event.{DAMAGING}: 1 day written, 1 in all\n" in done.stdout
        found = rows(store.get(f"scores/{DAMAGING}", tmp_path / f"scores{edits}"))
        in_dataset.append(sorted((row for of_hour in found.values() for row in of_hour), key=orjson.dumps))
    table = catalog.load_table((NAMESPACE, DAMAGING))
    assert [rows_of(table, snapshot.snapshot_id) for snapshot in table.snapshots()] == in_dataset
    assert list(map(len, in_dataset)) == sorted(map(len, in_dataset), reverse=True)
    done = command("publish", store / "scores", "--catalog", CATALOG)
    assert (done.returncode, done.stdout) == (0, f"event.{DAMAGING}: 0 days written, 1 in all\n")
    assert {name.split("/")[2] for name in store.names("warehouse")} == {"data", "metadata"}
