"""All rows of all tables of a dataset in a few figures, by the engines that people read them with; without
the time of writing, by which two runs differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

import schemas
from runners.programs import run
from tests.benchmarks.peers.run_pyspark import answers
from transforms.datasets.filesystem import for_arrow
from transforms.datasets.storage_paths import Place, address_of, subfolders

_PREFIX, _FAILURES = "mediawiki_revision_score_", "mediawiki_revision_score_error"
_PARTITION = ["datacenter", "year", "month", "day", "hour"]


def tables_of(root: Place) -> list[str]:
    """The hourly tables of models."""
    return [
        name
        for name in subfolders(root)
        if name.startswith(_PREFIX) and name != _FAILURES and "_by_" not in name
    ]


def of_pyarrow(root: Place) -> list[Any]:
    """Of each table its rows, and a hash of them in the order of partitions and rows."""
    found = []
    for name in tables_of(root):
        (path,), system = for_arrow([address_of(root / name)])
        dataset = pads.dataset(path, partitioning="hive", filesystem=system)
        rows, digest = 0, 0
        for fragment in sorted(dataset.get_fragments(), key=lambda each: str(each.partition_expression)):
            partition = fragment.to_table()
            rows, digest = rows + partition.num_rows, hash((digest, _content(partition)))
        found.append([name, rows, digest])
    return found


def _content(rows: pa.Table) -> bytes:
    """Rows but for the field `dt` of `meta`, as bytes that depend on nothing else."""
    columns = {name: rows.column(name) for name in rows.schema.names}
    meta = columns.pop("meta")
    for field in meta.type:
        if field.name != "dt":
            columns[f"meta.{field.name}"] = pc.struct_field(meta, field.name)
    copied = pa.Table.from_pydict(columns).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, copied.schema) as stream:
        stream.write_table(copied)
    return bytes(sink.getvalue())


def of_duckdb(root: Place) -> list[Any]:
    """Of each table its rows, and the hashes of each in one."""
    connection = duckdb.connect()
    if not isinstance(root, Path):
        connection.register_filesystem(root.fs)
    connection.execute(_statements(root, "duckdb"))
    return [
        [
            name,
            *(connection.execute(f"select count(*), bit_xor(hash({_row()})) from {name}").fetchone() or ()),
        ]
        for name in tables_of(root)
    ]


def of_spark(root: Place, folder: Path) -> list[Any]:
    """The same by Spark, with a metastore of its own in `folder`."""
    folder.mkdir()
    (folder / "statements").write_text(_statements(root, "hive"))
    questions = [
        f"select '{name}', count(*), bit_xor(xxhash64(to_json(struct({_row()})))) from {name}"
        for name in tables_of(root)
    ]
    (folder / "questions").write_text(json.dumps(questions))
    found = answers("spark_reader.py", *(str(folder / name) for name in ("statements", "questions", "spark")))
    return [rows for rows, _files in found]


def _row() -> str:
    """What a row is made of, for both engines."""
    schema = schemas.arrow_schema(schemas.REVISION_SCORE)
    meta = [f"meta.{field.name}" for field in schema.field("meta").type if field.name != "dt"]
    return ", ".join([*(name for name in schema.names if name != "meta"), *meta, *_PARTITION])


def _statements(root: Place, dialect: str) -> str:
    models = ",".join(name.removeprefix(_PREFIX) for name in tables_of(root))
    done = run("pipeline", "tables", address_of(root), "--dialect", dialect, "--only", models)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout
