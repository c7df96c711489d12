"""Whether DuckDB, pyarrow and Spark with a Hive metastore read the datasets alike, and how long `scores`
takes on many rows.

    python -m tests.benchmarks.readers [--events 20000] [--rows 10000000] [--hdfs]

The questions are about every table: rows of each wiki, the sum of the probabilities of each label (exploded
maps), the rows of one hour (which must not open the files of the others), and the view over all models. With
--hdfs the datasets lie in an HDFS, which DuckDB and pyarrow read by fsspec and Spark by itself.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from pipeline.config.models_file import load
from runners.local_hdfs import LocalHdfs
from runners.programs import SimulatedLiftWingProgram, run
from tests.benchmarks.inputs import MODELS, write_hours, write_models
from tests.benchmarks.measuring import table
from tests.benchmarks.peers.run_pyspark import answers
from transforms.datasets.filesystem import for_arrow
from transforms.datasets.manifests import files_below
from transforms.datasets.storage_paths import Place, address_of, place_at, subfolders

_HOUR = 1  # of those that are written
_TRIES = 5
_ROWS_OF_A_PART = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=120_000)
    parser.add_argument("--rows", type=int, default=10_000_000, help="for `scores`, of all models together")
    parser.add_argument("--hdfs", action="store_true")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-readers-") as name,
        LocalHdfs(Path(name) / "hdfs") if arguments.hdfs else nullcontext() as hdfs,
    ):
        folder, root = Path(name), place_at(f"{hdfs.url if hdfs else name}/scores")
        _regenerate(folder, root, arguments.events)
        engines = {"duckdb": _duckdb(root), "pyarrow": _pyarrow(root), "spark": _spark(folder, root)}
        rows: list[list[str | float]] = []
        for index, question in enumerate(_QUESTIONS):
            of_engines = {name: found[index] for name, found in engines.items()}
            count = sum(len(answer) for answer in of_engines["duckdb"])
            rows.append(
                [
                    question,
                    str(count),
                    "yes" if of_engines["duckdb"] == of_engines["pyarrow"] == of_engines["spark"] else "NO",
                ]
            )
        print(
            table(
                f"Readers of {len(_tables(root))} tables in {address_of(root)}, {arguments.events:,} events",
                ["", "rows of the answers", "all alike"],
                rows,
            ),
            flush=True,
        )
        print(_scores(folder, root, arguments.rows), flush=True)


_QUESTIONS = [
    "rows of each wiki",
    "probabilities by label",
    "rows of one hour, and files read for it",
    "rows of each model, in the view over all",
]


def _regenerate(folder: Path, root: Place, count: int) -> None:
    models = write_models(folder / "models.yaml", 500)
    with SimulatedLiftWingProgram("--latency", "0.01") as lift_wing:
        done = run(
            *("pipeline", "regenerate", "--models", str(models), "--lift-wing", lift_wing.url),
            *("--input", str(write_hours(folder / "in", count)), "--output", address_of(root)),
        )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def _tables(root: Place) -> dict[str, str]:
    """By model."""
    prefix = "mediawiki_revision_score_"
    found = {name.removeprefix(prefix): name for name in subfolders(root) if name.startswith(prefix)}
    return {model: name for model, name in found.items() if model != "error"}


def _statements(root: Place, dialect: str) -> str:
    done = run(
        *("pipeline", "tables", address_of(root), "--dialect", dialect, "--only", ",".join(_tables(root)))
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def _duckdb(root: Place) -> list[Any]:
    connection = duckdb.connect()
    if not isinstance(root, Path):
        connection.register_filesystem(root.fs)
    connection.execute(_statements(root, "duckdb"))

    def ask(question: str) -> list[list[Any]]:
        return sorted([list(row) for row in connection.execute(question).fetchall()])

    answers: list[Any] = [
        [],
        [],
        [],
        [ask("select model, count(*) from mediawiki_revision_score_all group by model")],
    ]
    for model, name in _tables(root).items():
        answers[0].append(ask(f"select database, count(*) from {name} group by database"))
        entries = f"select unnest(map_entries(scores['{model}'].probability)) as entry from {name}"
        answers[1].append(
            _rounded(ask(f"select entry.key, sum(entry.value) from ({entries}) group by entry.key"))
        )
        plan = connection.execute(
            f"explain analyze select count(*) from {name} where hour = {_HOUR}"
        ).fetchall()[0][1]
        files = next(
            int(line.split(":")[1].split("/")[0].strip(" │"))
            for line in plan.splitlines()
            if "Total Files Read" in line
        )
        answers[2].append([ask(f"select count(*) from {name} where hour = {_HOUR}"), files])
    return answers


def _pyarrow(root: Place) -> list[Any]:
    answers: list[Any] = [[], [], [], [[]]]
    for model, name in _tables(root).items():
        (table_of_model,), system = for_arrow([address_of(root / name)])
        dataset = pads.dataset(table_of_model, partitioning="hive", filesystem=system)
        rows = dataset.to_table(columns=["database", "scores"]).to_pylist()
        answers[0].append(
            sorted([wiki, count] for wiki, count in Counter(row["database"] for row in rows).items())
        )
        sums: Counter[str] = Counter()
        for row in rows:
            for label, value in dict(row["scores"])[model]["probability"]:
                sums[label] += value
        answers[1].append(_rounded(sorted([label, value] for label, value in sums.items())))
        of_hour = pads.field("hour") == _HOUR
        answers[2].append(
            [[[dataset.count_rows(filter=of_hour)]], len(list(dataset.get_fragments(filter=of_hour)))]
        )
        answers[3][0] += [[model, len(rows)]] if rows else []
    return answers


def _spark(folder: Path, root: Place) -> list[Any]:
    questions = []
    for model, name in _tables(root).items():
        questions += [
            f"select database, count(*) from {name} group by database",
            f"select label, sum(value) from {name} lateral view explode(scores['{model}'].probability) as "
            "label, value group by label",
            f"select count(*) from {name} where hour = {_HOUR}",
        ]
    questions.append("select model, count(*) from mediawiki_revision_score_all group by model")
    (folder / "statements").write_text(_statements(root, "hive"))
    (folder / "questions").write_text(json.dumps(questions))
    found = answers("spark_reader.py", *(str(folder / name) for name in ("statements", "questions", "spark")))
    per_table, of_view = [found[index : index + 3] for index in range(0, len(found) - 1, 3)], found[-1]
    return [
        [rows for (rows, _), _, _ in per_table],
        [_rounded(rows) for _, (rows, _), _ in per_table],
        [[rows, files] for _, _, (rows, files) in per_table],
        [of_view[0]],
    ]


def _rounded(rows: list[list[Any]]) -> list[list[Any]]:
    """Sums of floats depend on their order."""
    return [[label, round(value, 4)] for label, value in rows]


def _scores(folder: Path, written_to: Place, count: int) -> str:
    """The time of the whole command, of a revision that all models have and of one that none has."""
    root, wiki, rev_id = folder / "many", "", 0
    models = load(MODELS).models
    (part, *_), system = for_arrow(
        [*map(address_of, files_below(written_to / "mediawiki_revision_score_damaging"))]
    )
    source = pq.read_table(part, partitioning=None, filesystem=system)
    wiki, rev_id = source["database"][0].as_py(), source["rev_id"][0].as_py()
    parts = -(-count // (len(models) * _ROWS_OF_A_PART))
    written = 0
    for model in models:
        for number, rows in enumerate(_copies(source, parts)):
            day, hour_of_day = divmod(number, 24)
            hour = f"datacenter=eqiad/year=2023/month={day // 28 + 1}/day={day % 28 + 1}/hour={hour_of_day}"
            partition = root / f"mediawiki_revision_score_{model}" / hour
            partition.mkdir(parents=True)
            pq.write_table(_of_model(rows, model), partition / "part-0.parquet", row_group_size=4_000)
            written += rows.num_rows
    rows_told: list[list[str | float]] = []
    for what, wanted in (("all have", rev_id), ("none has", 7)):
        seconds = []
        for _ in range(_TRIES):
            began = time.monotonic()
            run("pipeline", "scores", str(root), "--wiki", wiki, "--rev-id", str(wanted))
            seconds.append(time.monotonic() - began)
        rows_told.append([f"a revision that {what}", median(seconds)])
    files = len(list(root.rglob("part-*")))
    return table(
        f"`scores` on {written:,} rows in {files:,} files, the whole command", ["", "seconds"], rows_told
    )


def _copies(source: pa.Table, parts: int) -> Iterator[pa.Table]:
    """Tables of so many rows, each with other revisions."""
    source = pa.concat_tables([source] * -(-_ROWS_OF_A_PART // source.num_rows)).slice(0, _ROWS_OF_A_PART)
    for number in range(parts):
        revisions = pa.array([rev_id + number * 1_000_000_000 for rev_id in source["rev_id"].to_pylist()])
        yield source.set_column(source.schema.get_field_index("rev_id"), "rev_id", revisions).sort_by(
            [("database", "ascending"), ("rev_id", "ascending")]
        )


def _of_model(rows: pa.Table, model: str) -> pa.Table:
    """The rows of damaging as another model's."""
    scores = rows["scores"].combine_chunks()
    named: Mapping[str, Any] = {"keys": pa.array([model] * len(scores.keys)), "items": scores.items}
    return rows.set_column(
        rows.schema.get_field_index("scores"),
        "scores",
        pa.MapArray.from_arrays(scores.offsets, named["keys"], named["items"]),
    )


if __name__ == "__main__":
    main()
