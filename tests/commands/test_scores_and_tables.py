"""What can be done with the datasets: all scores of a revision, and tables in SQL engines."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import orjson
import pyarrow.parquet as pq
import pytest

import schemas
from pipeline.main import main
from runners.simulated_lift_wing.server import SimulatedLiftWing, score, version
from tests.support.commands import DAMAGING, command, events_file, wrong_use
from tests.support.events import edit

MODELS = ("damaging", "goodfaith", "articletopic")


@pytest.fixture
def root(lift_wing: SimulatedLiftWing, tmp_path: Path) -> Path:
    """Scores of 300 revisions of each of two wikis, which lie in each other's range of numbers."""
    events = [
        edit(rev_id=rev_id, database=wiki) for rev_id in range(1000, 1300) for wiki in ("enwiki", "frwiki")
    ]
    done = command(
        "regenerate",
        "--input",
        events_file(tmp_path / "in.jsonl", *events),
        "--output",
        tmp_path / "out",
        "--lift-wing",
        lift_wing.url,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return tmp_path / "out"


def test_scores_gives_what_all_models_said_of_a_revision(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scores", str(root), "--wiki", "enwiki", "--rev-id", "1007"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[model, version("enwiki", model)] for model in MODELS]
    said = score("enwiki", "damaging", 1007)
    assert lines[0].split()[2] == str(said["prediction"]).lower()
    assert f"true {said['probability']['true']:.3f}" in lines[0]
    assert lines[0].endswith("  (2021-08-27T13:20:10Z)")
    assert (
        main(["scores", str(root), "--wiki", "enwiki", "--rev-id", "1007", "--only", "goodfaith", "--json"])
        == 0
    )
    (event,) = map(orjson.loads, capsys.readouterr().out.splitlines())
    schemas.validator("/mediawiki/revision/score/3.0.0")(event)
    assert (event["rev_id"], event["database"], list(event["scores"])) == (1007, "enwiki", ["goodfaith"])


def test_what_is_not_there_is_told(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scores", str(root), "--wiki", "enwiki", "--rev-id", "7"]) == 1
    assert capsys.readouterr().err == f"no model has a score of revision 7 of enwiki in {root}\n"
    assert wrong_use("scores", tmp_path, "--wiki", "enwiki", "--rev-id", "7") == 2
    assert (
        capsys.readouterr().err
        == f"revision-scores scores: no dataset of a model lies in {tmp_path}; name the --output of "
        "regenerate\n"
    )


def test_rows_lie_by_wiki_and_revision(root: Path) -> None:
    """So that the statistics of a row group tell whether a revision can be in it."""
    (part,) = (root / DAMAGING).rglob("part-*.parquet")
    rows = pq.read_table(part, columns=["database", "rev_id"]).to_pylist()
    assert [(row["database"], row["rev_id"]) for row in rows] == [
        (wiki, rev_id) for wiki in ("enwiki", "frwiki") for rev_id in range(1000, 1300)
    ]


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


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_searched(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (part,) = (root / DAMAGING).rglob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:-100])
    assert main(["scores", str(root), "--wiki", "enwiki", "--rev-id", "1007"]) == 1
    said, problems = capsys.readouterr()
    assert [line.split()[0] for line in said.splitlines()] == ["goodfaith", "articletopic"]
    assert problems.startswith(f"{part}: cannot be read: ")


def test_combine_names_a_part_that_is_not_as_it_was_written_and_waits_for_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (part,) = (root / DAMAGING).rglob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:-100])
    assert main(["combine", str(root)]) == 1
    assert f"waits for damaging ({part}: expected " in capsys.readouterr().out


@pytest.mark.parametrize(
    "command_line",
    [
        "combine {0}",
        "scores {0} --wiki enwiki --rev-id 1",
        "sanitize {0} --output {1}",
        "sanitize {1} --output {0}",
        "regenerate --input {1} --output {0}",
        "audit --input {1} --scores {0}",
    ],
)
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("hdfs://127.0.0.1:9/scores", "cannot be looked at: hdfs://127.0.0.1:9 does not answer: "),
        ("gs://bucket/scores", "gs://: expected a path on this machine, hdfs://… or s3://…"),
        ("hdfs:/scores", "expected hdfs:///scores, got hdfs:/scores"),
    ],
)
def test_an_address_at_which_nobody_is_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command_line: str, address: str, reason: str
) -> None:
    assert wrong_use(*command_line.format(address, tmp_path).split()) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
