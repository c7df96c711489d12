"""Tables of the datasets in SQL engines."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.main import main
from runners.simulated_lift_wing.server import SimulatedLiftWing, score
from tests.support.commands import DAMAGING, events_file, wrong_use
from tests.support.events import edit

MODELS = ("damaging", "goodfaith", "articletopic")


def test_duckdb_takes_the_statements(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", str(root), "--dialect", "duckdb", "--only", ",".join(MODELS)]) == 0
    with duckdb.connect() as connection:
        connection.execute(capsys.readouterr().out)
        assert connection.sql(
            "select model, count(*) from mediawiki_revision_score_all group by model order by model"
        ).fetchall() == [
            ("articletopic", 300),
            ("damaging", 600),
            ("goodfaith", 600),
        ]
        query = (
            "select scores['damaging'].probability['true'] from mediawiki_revision_score_damaging "
            "where database = 'frwiki' and rev_id = 1001 and hour = 13"
        )
        assert connection.sql(query).fetchall() == [
            (score("frwiki", "damaging", 1001)["probability"]["true"],)
        ]


def test_hive_gets_tables_with_the_types_of_the_files(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "hdfs:///scores/", "--only", "damaging"]) == 0
    said, warning = capsys.readouterr()
    assert (
        warning == "hdfs:///scores cannot be looked at from here: the statements are for all models and for "
        "Parquet, whatever lies there\n"
    )
    assert (
        "LOCATION 'hdfs:///scores/mediawiki_revision_score_damaging';\nMSCK REPAIR TABLE "
        "`mediawiki_revision_score_damaging`;" in said
    )
    fields = "model_name:string,model_version:string,prediction:array<string>,probability:map<string,double>"
    scores = f"map<string,struct<{fields}>>"
    assert f"  `scores` {scores}" in said
    (columns,) = re.findall(r"`mediawiki_revision_score_damaging` \(\n(.*?)\n\)", said, re.DOTALL)
    (part,) = (root / DAMAGING).rglob("part-*.parquet")
    assert re.findall(r"^  `(\w+)` ", columns, re.MULTILINE) == pq.read_schema(part).names


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_duckdb_takes_a_dataset_that_lacks_models_lies_in_an_odd_place_and_is_combined(
    lift_wing: SimulatedLiftWing,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    source = events_file(tmp_path / "in.jsonl", edit(rev_id=1), edit(rev_id=2), b"no event")
    monkeypatch.chdir(tmp_path)
    where = [
        "--output",
        "it's [scores]*",
        "--lift-wing",
        lift_wing.url,
        "--only",
        "damaging,goodfaith",
        "--format",
        form,
    ]
    assert main(["regenerate", "--input", str(source), *where]) == 1
    assert main(["combine", "it's [scores]*"]) == 0
    capsys.readouterr()
    assert main(["tables", "it's [scores]*", "--dialect", "duckdb"]) == 0
    with duckdb.connect() as connection:
        connection.execute(capsys.readouterr().out)
        assert connection.sql(
            "select model, count(*) from mediawiki_revision_score_all group by model order by model"
        ).fetchall() == [
            ("damaging", 2),
            ("goodfaith", 2),
        ]
        found = connection.sql(
            "select rev_id, _schema, hour, scores['damaging'].model_name, scores['goodfaith'].model_name "
            "from mediawiki_revision_score order by 1"
        )
        assert found.fetchall() == [
            (rev_id, "/mediawiki/revision/score/3.0.0", 13, "damaging", "goodfaith") for rev_id in (1, 2)
        ]
        assert connection.sql("select raw_event from mediawiki_revision_score_error").fetchall() == [
            ("no event",)
        ]
    assert main(["tables", "it's [scores]*"]) == 0
    said = capsys.readouterr().out
    assert f"LOCATION 'file://{tmp_path}/it\\'s [scores]*/{DAMAGING}';" in said
    assert re.findall(r"TABLE IF NOT EXISTS `(\w+)`", said) == [
        DAMAGING,
        "mediawiki_revision_score_goodfaith",
        "mediawiki_revision_score_error",
        "mediawiki_revision_score",
    ]
    assert ("STORED AS PARQUET" in said, "JsonSerDe" in said) == (form == "parquet", form == "jsonl")


def test_avro_is_declared_as_avro_and_what_no_engine_reads_is_refused(
    lift_wing: SimulatedLiftWing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = events_file(tmp_path / "in.jsonl", edit(rev_id=1))
    where = [
        "--output",
        str(tmp_path / "out"),
        "--lift-wing",
        lift_wing.url,
        "--only",
        "damaging",
        "--format",
        "avro",
    ]
    assert main(["regenerate", "--input", str(source), *where]) == 0
    capsys.readouterr()
    assert main(["tables", str(tmp_path / "out")]) == 0
    assert f"STORED AS AVRO\nLOCATION '{tmp_path}/out/{DAMAGING}';" in capsys.readouterr().out
    assert wrong_use("tables", tmp_path / "out", "--dialect", "duckdb") == 2
    assert "is in Avro, which DuckDB reads by an extension alone" in capsys.readouterr().err
    (part,) = (tmp_path / "out" / DAMAGING).rglob("part-*")
    part.with_suffix(".parquet").write_bytes(b"")
    assert wrong_use("tables", tmp_path / "out") == 2
    assert "has files in parquet and in avro, which no engine reads as one table" in capsys.readouterr().err
    assert wrong_use("tables", "no/such/place") == 2
    assert "no such directory: no/such/place" in capsys.readouterr().err
