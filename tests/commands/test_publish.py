"""`publish`, and `regenerate --catalog`: the datasets as tables of Iceberg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

import schemas
from pipeline.main import main
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import DAMAGING, ERRORS, HOURS, hourly, rows, run, wrong_use
from tests.support.iceberg import CATALOG, NAMESPACE, catalog_in, rows_of
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.iceberg_files import Day
from transforms.datasets.iceberg_table import CannotPublishError, IcebergTable

DAY = HOURS[0].rpartition("/")[0]
EVENT = {"$schema": schemas.REVISION_SCORE, "database": "enwiki", "dt": "2023-01-24T00:00:00Z"}


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    return catalog_in(tmp_path, monkeypatch)


@pytest.fixture
def out(lift_wing: SimulatedLiftWing, tmp_path: Path) -> Path:
    hourly(tmp_path / "in", 200)
    assert run(lift_wing, tmp_path, "--only", "damaging").returncode == 0
    return tmp_path / "out"


def publish(root: Path) -> int:
    return main(["publish", str(root), "--catalog", CATALOG])


def table_of(catalog: Catalog, name: str = DAMAGING) -> Table:
    return catalog.load_table((NAMESPACE, name))


def in_dataset(root: Path, table: str = DAMAGING) -> list[Any]:
    return sorted((row for of_hour in rows(root / table).values() for row in of_hour), key=orjson.dumps)


def test_a_table_has_the_rows_of_the_dataset_by_the_day_of_dt(
    out: Path, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(out) == 0
    assert capsys.readouterr() == (f"event.{DAMAGING}: 1 day written, 1 in all\n", "")
    table, scores = table_of(catalog), in_dataset(out)
    assert rows_of(table) == scores
    assert set(table.scan().to_arrow()["datacenter"].to_pylist()) == {"eqiad"}
    assert [str(field) for field in table.spec().fields] == ["1000: dt_day: day(3)"]
    (snapshot,) = table.snapshots()
    assert snapshot.summary
    facts = snapshot.summary.additional_properties
    (manifest, *_) = [orjson.loads(path.read_bytes()) for path in out.rglob("_manifest.json")]
    assert {
        name: facts[f"revision-scores.{name}"] for name in ("days", "hours", "rows", "missing", "runs")
    } == {
        "days": "1",
        "hours": "4",
        "rows": str(len(scores)),
        "missing": "0",
        "runs": manifest["run"],
    }
    assert sum(orjson.loads(facts["revision-scores.model_versions"]).values()) == len(scores)
    before = table.metadata_location
    assert publish(out) == 0
    assert capsys.readouterr().out == f"event.{DAMAGING}: 0 days written, 1 in all\n"
    assert table_of(catalog).metadata_location == before


def test_what_was_overwritten_is_there_in_older_snapshots(
    lift_wing: SimulatedLiftWing, out: Path, catalog: Catalog
) -> None:
    assert publish(out) == 0
    first = in_dataset(out)
    file = out.parent / "in" / HOURS[1] / "part-0.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:20]))
    done = run(lift_wing, out.parent, "--only", "damaging", "--overwrite", "--catalog", CATALOG)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"event.{DAMAGING}: 1 day written, 1 in all\n" in done.stdout
    table = table_of(catalog)
    older, newer = table.snapshots()
    assert rows_of(table, older.snapshot_id) == first
    assert rows_of(table, newer.snapshot_id) == in_dataset(out) != first


def test_a_partition_that_is_gone_is_gone_from_the_table(out: Path, catalog: Catalog) -> None:
    assert publish(out) == 0
    for file in (out / DAMAGING / HOURS[1]).iterdir():
        file.unlink()
    assert publish(out) == 0
    assert rows_of(table_of(catalog)) == in_dataset(out)
    for hour in HOURS:
        for file in (out / DAMAGING / hour).iterdir():
            file.unlink()
    assert publish(out) == 0
    assert rows_of(table_of(catalog)) == []


def test_a_day_without_rows_is_not_written_again_and_again(
    tmp_path: Path, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = DatasetWriter(tmp_path / "scores")
    about = {"failures": {}, "inputs": [], "rule": {}, "wikis": {}, "missing": []}
    writer.replace(writer.root / DAMAGING / HOURS[0], schemas.REVISION_SCORE, [], lambda: about)
    for _ in range(2):
        assert publish(writer.root) == 0
        assert capsys.readouterr().out == f"event.{DAMAGING}: 0 days written, 1 in all\n"


def test_failures_are_a_table_too(lift_wing: SimulatedLiftWing, tmp_path: Path, catalog: Catalog) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "events.jsonl").write_bytes(b'{"a":1}\n' * 3)
    options = ("--only", "damaging", "--catalog", CATALOG)
    assert run(lift_wing, tmp_path, *options).returncode == 1
    assert rows_of(table_of(catalog, ERRORS)) == in_dataset(tmp_path / "out", ERRORS)
    assert len(rows_of(table_of(catalog, ERRORS))) > 0


def test_a_day_with_an_hour_that_cannot_be_read_stays_as_it_was(
    lift_wing: SimulatedLiftWing, out: Path, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(out) == 0
    before = in_dataset(out)
    capsys.readouterr()
    (part,) = (out / DAMAGING / HOURS[2]).glob("part-*")
    part.write_bytes(part.read_bytes()[:-10])
    assert publish(out) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"event.{DAMAGING}: {DAY}: {part}: expected ")
    assert said[0].endswith("; regenerate --resume makes a partition anew")
    assert said[1:] == [f"event.{DAMAGING}: 0 days written, 1 in all"]
    assert rows_of(table_of(catalog)) == before
    assert run(lift_wing, out.parent, "--only", "damaging", "--resume", "--catalog", CATALOG).returncode == 0
    assert rows_of(table_of(catalog)) == before


def test_files_of_a_run_that_was_killed_before_it_committed_are_written_again(
    out: Path, catalog: Catalog
) -> None:
    assert publish(out) == 0
    ((written,),) = [[task.file.file_path for task in table_of(catalog).scan().plan_files()]]
    catalog.drop_table((NAMESPACE, DAMAGING))
    Path(written.removeprefix("file://")).write_bytes(b"PAR1 half of a file")
    assert publish(out) == 0
    assert [task.file.file_path for task in table_of(catalog).scan().plan_files()] == [written]
    assert rows_of(table_of(catalog)) == in_dataset(out)


def test_rows_that_somebody_else_wrote_are_neither_kept_nor_removed_unsaid(
    out: Path, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(out) == 0
    table = table_of(catalog)
    table.delete("rev_id > 0")
    (snapshot,) = [table.current_snapshot()]
    assert snapshot
    capsys.readouterr()
    assert publish(out) == 1
    assert capsys.readouterr().out == (
        f"event.{DAMAGING}: somebody else made its newest snapshot, {snapshot.snapshot_id}; roll it back to "
        "one of revision-scores, or drop the table, which is then made anew\n"
    )
    catalog.drop_table((NAMESPACE, DAMAGING))
    assert publish(out) == 0
    assert rows_of(table_of(catalog)) == in_dataset(out)


def test_two_datasets_are_not_mixed_up(
    out: Path, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(out) == 0
    there = in_dataset(out)
    other = out.rename(out.with_name("other"))
    capsys.readouterr()
    assert publish(other) == 1
    assert capsys.readouterr().out == (
        f"event.{DAMAGING}: is published from {out}/{DAMAGING}, not from {other}/{DAMAGING}; name another "
        "--namespace, or, if the dataset has moved, set the property revision-scores.dataset of the table\n"
    )
    assert rows_of(table_of(catalog)) == there
    with table_of(catalog).transaction() as transaction:
        transaction.set_properties({"revision-scores.dataset": f"{other}/{DAMAGING}"})
    assert publish(other) == 0
    assert rows_of(table_of(catalog)) == there


def iceberg_table(catalog: Catalog) -> IcebergTable:
    return IcebergTable(catalog, NAMESPACE, DAMAGING, schemas.REVISION_SCORE, "/scores")


def write_and_commit(table: IcebergTable, digest: str, revisions: range, *keep: Day) -> Day:
    day = Day(DAY, digest)
    files = table.write(day, ({**EVENT, "meta": {"dt": ""}, "rev_id": number} for number in revisions))
    assert table.commit({day, *keep}, files, {"rows": str(len(revisions))})
    return day


def test_a_commit_beside_another_is_made_on_top_of_it(catalog: Catalog) -> None:
    one, other = iceberg_table(catalog), iceberg_table(catalog)
    assert one.days() == other.days() == set()
    first = write_and_commit(one, "a", range(3))
    second = write_and_commit(other, "b", range(3, 5), first)
    assert one.days() == {first}  # it has not looked
    third = write_and_commit(one, "c", range(5, 6), second)
    assert iceberg_table(catalog).days() == {second, third}
    assert [row["rev_id"] for row in rows_of(table_of(catalog))] == [3, 4, 5]


def test_a_snapshot_of_somebody_else_since_the_last_look_is_named(catalog: Catalog) -> None:
    table = iceberg_table(catalog)
    write_and_commit(table, "a", range(3))
    append = pa.table({"rev_id": [1], "dt": pa.array([None], pa.timestamp("us", "UTC"))})
    table_of(catalog).append(append)
    with pytest.raises(CannotPublishError, match="somebody else made its newest snapshot"):
        write_and_commit(table, "b", range(2))


def test_a_file_is_of_one_day_and_no_time_is_a_day_too(catalog: Catalog) -> None:
    times = ["2023-01-24T23:59:59.9Z", "2023-01-25T01:00:00+02:00", "2023-01-25T00:00:00Z", None]
    table, day = iceberg_table(catalog), Day(DAY, "a")
    rows = [{**EVENT, "rev_id": number, "dt": dt} for number, dt in enumerate(times)]
    assert table.commit({day}, table.write(day, rows), {"rows": "4"})
    assert table.days() == {day}
    found = table_of(catalog).scan().to_arrow()
    assert sorted(zip(found["rev_id"].to_pylist(), map(str, found["dt"].to_pylist()), strict=True)) == [
        (0, "2023-01-24 23:59:59.900000+00:00"),
        (1, "2023-01-24 23:00:00+00:00"),
        (2, "2023-01-25 00:00:00+00:00"),
        (3, "None"),
    ]
    tasks = table_of(catalog).scan(row_filter="dt >= '2023-01-25T00:00:00+00:00'").plan_files()
    assert [task.file.record_count for task in tasks] == [1]
    with pytest.raises(ValueError, match="YESTERDAY"):
        table.write(day, [{**EVENT, "dt": "yesterday"}])


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2023-01-24T00:00:00.1234567Z", "2023-01-24 00:00:00.123456+00:00"),
        ("2023-01-24t00:00:00.5z", "2023-01-24 00:00:00.500000+00:00"),
        ("2023-01-23T23:59:60Z", "2023-01-24 00:00:00+00:00"),
        ("2023-01-24t02:00:00+02:00", "2023-01-24 00:00:00+00:00"),
    ],
)
def test_a_time_that_schemas_allow_and_arrow_does_not_read_is_read(
    catalog: Catalog, text: str, time: str
) -> None:
    table, day = iceberg_table(catalog), Day(DAY, "a")
    assert table.commit({day}, table.write(day, [{**EVENT, "dt": text}]), {"rows": "1"})
    (found,) = table_of(catalog).scan().to_arrow()["dt"].to_pylist()
    assert str(found) == time


def test_columns_of_a_newer_schema_are_added(catalog: Catalog) -> None:
    catalog.create_namespace(NAMESPACE)
    older = pa.schema([("dt", pa.timestamp("us", "UTC")), ("rev_id", pa.int64()), ("ours", pa.string())])
    catalog.create_table((NAMESPACE, DAMAGING), older)
    write_and_commit(iceberg_table(catalog), "a", range(2))
    found = table_of(catalog).scan().to_arrow()
    assert found["rev_id"].to_pylist() == [0, 1]
    assert found["database"].to_pylist() == ["enwiki"] * 2
    assert found["ours"].to_pylist() == [None] * 2
    catalog.drop_table((NAMESPACE, DAMAGING))
    catalog.create_table((NAMESPACE, DAMAGING), pa.schema([("rev_id", pa.string())]))
    with pytest.raises(CannotPublishError, match="has other columns than its events"):
        iceberg_table(catalog).days()


@pytest.mark.parametrize(
    ("catalog_named", "root", "said"),
    [
        ("nowhere", "there", "--catalog: nowhere cannot be opened: "),
        (CATALOG, "not-there", "no dataset of a model lies in "),
        (CATALOG, ".", "no dataset of a model lies in "),
    ],
)
def test_wrong_use_is_named(
    catalog: Catalog,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    catalog_named: str,
    root: str,
    said: str,
) -> None:
    (tmp_path / "there" / DAMAGING).mkdir(parents=True)
    assert wrong_use("publish", tmp_path / root, "--catalog", catalog_named) == 2
    assert capsys.readouterr().err.startswith(f"revision-scores publish: {said}")
