"""Files of events in every format and codec, and what happens to files: bytes flipped, cut, joined, renamed.
Counts what the reader makes of them.

python -m tests.fuzz.files --count 2000
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import lzma
import random
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cramjam
import duckdb
import fastavro
import lz4.block
import lz4.frame
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

import schemas
from tests.support.events import edit
from transforms.datasets.event_files import find_files, read_file
from transforms.datasets.filesystem import printable
from transforms.events.parsing import NotAnEventError, event_in

CREATE = "/mediawiki/revision/create/2.0.0"
ROWS = 120
_NOBODY = -1
ENDINGS = ["", ".json", ".jsonl.gz", ".parquet", ".avro", ".txt", ".snappy", "-c000", ".deflate"]


def _hadoop(compress: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def blocks(data: bytes) -> bytes:
        found = b""
        for start in range(0, len(data), 20_000):
            block = data[start : start + 20_000]
            packed = compress(block)
            found += len(block).to_bytes(4, "big") + len(packed).to_bytes(4, "big") + packed
        return found

    return blocks


JSON_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "json": bytes,
    "json.gz": gzip.compress,
    "txt.gz": gzip.compress,
    "json.bz2": bz2.compress,
    "json.xz": lzma.compress,
    "json.zst": zstandard.compress,
    "json.lz4": lz4.frame.compress,
    "deflate": zlib.compress,
    "sz": lambda data: bytes(cramjam.snappy.compress(data)),
    "json.snappy": _hadoop(lambda block: bytes(cramjam.snappy.compress_raw(block))),
    "hadoop.lz4": _hadoop(lambda block: lz4.block.compress(block, store_size=False)),
}
PARQUET_CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]
AVRO_CODECS = ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"]


def whole_files(seed: int = 0) -> dict[str, bytes]:
    """By name, the same events in every format and codec."""
    seeded = random.Random(seed)
    events = [
        edit(rev_id=number, comment=seeded.randbytes(40).hex(), page_title=f"é {number}")
        for number in range(ROWS)
    ]
    rows = [schemas.table_row(event) for event in events]
    lines = b"".join(orjson.dumps(event) + b"\n" for event in events)
    found = {
        f"000000_{number}.{name}": compress(lines)
        for number, (name, compress) in enumerate(JSON_CODECS.items())
    }
    for codec in PARQUET_CODECS:
        sink = io.BytesIO()
        pq.write_table(
            pa.Table.from_pylist(rows, schemas.arrow_schema(CREATE)),
            sink,
            compression=codec,
            row_group_size=40,
        )
        found[f"part-{codec}.parquet"] = sink.getvalue()
    for codec in AVRO_CODECS:
        sink = io.BytesIO()
        fastavro.writer(sink, schemas.avro_schema(CREATE), rows, codec=codec, sync_interval=8_000)
        found[f"part-{codec}.avro"] = sink.getvalue()
    return found


def damaged(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents."""
    seeded, whole = random.Random(seed), list(whole_files().items())
    for number in range(count):
        name, content = whole[number % len(whole)]
        way = seeded.choice(["flip", "flip", "cut", "join", "rename"])
        if way == "flip":
            changed = bytearray(content)
            for _ in range(seeded.choice([1, 1, 3, 20])):
                changed[seeded.randrange(len(changed))] = seeded.randrange(256)
            content = bytes(changed)
        elif way == "cut":
            start = seeded.choice([0, 0, 0, seeded.randrange(len(content))])
            content = content[start : seeded.randrange(start + 1, len(content) + 1)]
        elif way == "join":
            content += seeded.choice(
                [seeded.choice(whole)[1], seeded.randbytes(seeded.randrange(1, 2_000)), b"\0" * 512, content]
            )
        else:
            name = name.partition(".")[0] + seeded.choice(ENDINGS)
        yield f"{way}-{number}-{name}", content


class Ledger:
    """What became of the files: `faults` are exceptions, files that nobody names, and counts that are not
    those of the format's own library."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def note(self, path: Path) -> None:
        try:
            rows, named = _read(path)
        except Exception as error:  # the fault that this looks for
            self.faults.append(f"{path.name}: {type(error).__name__}: {error}")
            return
        self.counts["named" if named else "read"] += 1
        if not all(path.name in text for text in named):
            self.faults.append(f"{path.name}: not named in {named}")
        own = _own_count(path)
        if own == _NOBODY:
            return
        if own is not None and own != rows:
            self.faults.append(f"{path.name}: {rows} rows, its own library reads {own}; {named[:2]}")
        if own is None and not named:
            self.faults.append(f"{path.name}: {rows} rows and no word, where its own library refuses it")


def _read(path: Path) -> tuple[int, list[str]]:
    """Rows, those that are no events among them, and what names the file."""
    try:
        found = find_files(str(path), "eqiad")
    except FileNotFoundError as error:
        return 0, [str(error)]
    named = [f"{printable(left.path)}: {left.reason}" for left in found.left_out]
    rows = 0
    for file in found.files:
        for raw in read_file(file):
            rows += not raw.problem or raw.final and "event " in raw.problem
            if raw.problem:
                named.append(raw.problem)
                continue
            try:
                event_in(raw)
            except NotAnEventError as error:
                named.append(f"{raw.origin}: {error}")
    return rows, named


def _own_count(path: Path) -> int | None:
    """How many rows pyarrow, fastavro or DuckDB read; None when they refuse the file, -1 where none of them
    reads such a file."""
    content = path.read_bytes()
    try:
        if content[:4] == b"PAR1" or content[-4:] == b"PAR1":
            return int(pq.ParquetFile(path).read().num_rows)
        if content[:4] == b"Obj\x01":
            with path.open("rb") as file:
                return sum(1 for _ in fastavro.reader(file))
        if content[:1] == b"{":
            query = (
                "select count(*) from read_json(?, format = 'newline_delimited', compression = 'none', "
                "columns = {'rev_id': 'JSON', 'meta': 'JSON'})"
            )
            return int(duckdb.execute(query, [str(path)]).fetchone()[0])  # type: ignore[index]
    except Exception as error:  # they have many
        # Spark and Presto read such JSON, and so does this reader
        return _NOBODY if "invalid UTF-8" in str(error) else None
    return _NOBODY


def check(count: int, seed: int, folder: Path) -> Ledger:
    """Writes the damaged files into a folder and reads each."""
    ledger = Ledger()
    for name, content in damaged(count, seed):
        path = folder / name
        path.write_bytes(content)
        ledger.note(path)
    return ledger


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ledger = check(arguments.count, arguments.seed, arguments.keep or Path(folder))
    print(*ledger.faults, sep="\n")
    print(f"{arguments.count} damaged files: {dict(ledger.counts)}, {len(ledger.faults)} faults")
    return 1 if ledger.faults else 0


if __name__ == "__main__":
    sys.exit(main())
