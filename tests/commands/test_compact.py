"""`compact`: the same rows in tables by days and months."""

from __future__ import annotations

from pathlib import Path

import duckdb
import orjson
import pyarrow.parquet as pq
import pytest

from pipeline.main import main
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import DAMAGING, HOURS, hourly, rows, run
from transforms.datasets.manifests import MANIFEST

BY_DAY, BY_MONTH = f"{DAMAGING}_by_day", f"{DAMAGING}_by_month"
DAY = HOURS[0].rpartition("/")[0]


@pytest.fixture
def out(lift_wing: SimulatedLiftWing, tmp_path: Path) -> Path:
    hourly(tmp_path / "in", 200)
    assert run(lift_wing, tmp_path, "--only", "damaging").returncode == 0
    return tmp_path / "out"


@pytest.mark.parametrize(("by", "table", "place"), [("day", BY_DAY, DAY), ("month", BY_MONTH, DAY[:-7])])
def test_a_day_or_a_month_has_the_rows_of_its_hours_in_order(
    out: Path, capsys: pytest.CaptureFixture[str], by: str, table: str, place: str
) -> None:
    hours = [row for hour in HOURS for row in rows(out / DAMAGING)[hour]]
    assert main(["compact", str(out), "--by", by]) == 0
    assert capsys.readouterr() == (f"{table}: 1 {by} written, 1 in all\n", "")
    assert rows(out / table) == {place: sorted(hours, key=orjson.dumps)}
    (part,) = (out / table).rglob("part-*")
    ordered = pq.ParquetFile(part).read(["database", "rev_id"]).to_pylist()
    assert ordered == sorted(ordered, key=lambda row: (row["database"], row["rev_id"]))
    manifest = orjson.loads((part.parent / MANIFEST).read_bytes())
    layout = "datacenter/year/month" + "/day" * (by == "day")
    assert (manifest["rows"], manifest["layout"]) == (len(hours), layout)
    assert main(["tables", str(out), "--dialect", "duckdb"]) == 0
    with duckdb.connect() as connection:
        connection.execute(capsys.readouterr().out)
        assert connection.sql(f"select count(*), min(month) from {table}").fetchall() == [(len(hours), 1)]
        assert connection.sql(f"select count(*) from {DAMAGING}").fetchall() == [(len(hours),)]
    assert main(["tables", str(out)]) == 0
    columns = "`datacenter` string, `year` bigint, `month` bigint" + ", `day` bigint" * (by == "day")
    assert f"PARTITIONED BY ({columns})\nSTORED AS PARQUET\nLOCATION '{out}/{table}'" in (
        capsys.readouterr().out
    )


def test_what_is_new_is_written_and_an_hour_that_cannot_be_read_is_named(
    lift_wing: SimulatedLiftWing, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for written in ("1 day", "0 days"):
        assert main(["compact", str(out)]) == 0
        assert capsys.readouterr().out == f"{BY_DAY}: {written} written, 1 in all\n"
    (part,) = (out / DAMAGING / HOURS[2]).glob("part-*")
    part.write_bytes(part.read_bytes()[:-10])
    before = rows(out / BY_DAY)
    assert main(["compact", str(out)]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{BY_DAY}: {part}: expected ")
    assert said.endswith(
        f"; regenerate --resume makes a partition anew\n{BY_DAY}: 0 days written, 1 in all\n"
    )
    assert rows(out / BY_DAY) == before
    assert run(lift_wing, out.parent, "--only", "damaging", "--resume").returncode == 0
    assert main(["compact", str(out)]) == 0
    assert rows(out / BY_DAY) == before
