"""Events from files: JSON lines, Avro or Parquet, gzip or not, in Hive layout or in one heap."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import apache_beam as beam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

import schemas
from transforms.elements import Raw
from transforms.filesystem import FoundFile, list_files, name_of, open_file
from transforms.folder_walk import LeftOut
from transforms.hive_layout import datacenter_of, partition_of, wrong_key_in

FORMATS = (".parquet", ".avro", ".jsonl", ".json", ".jsonl.gz", ".json.gz")
_ROWS_AT_ONCE = 1_000
# LookupError is what fastavro makes of a damaged block.
_UNREADABLE = (OSError, EOFError, ValueError, LookupError, zlib.error, pa.ArrowException, fastavro.schema.SchemaParseException)


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read, and what its place says of its events."""

    path: str
    datacenter: str
    partition: str | None
    size: int = field(default=0, compare=False)  # bytes, when it was found
    version: str = field(default="", compare=False)  # another text when the content is another: an ETag, or the time of the last change


class EventFiles(NamedTuple):
    """The files to read, and what is not read beside them."""

    files: list[InputFile]
    left_out: list[LeftOut]
    marks: Counter[str]  # what readers of Hive tables pass over (_SUCCESS, *.crc), by kind

    @property
    def may_miss_events(self) -> bool:
        return any(left.may_hold_events for left in self.left_out)


def find_files(root: str, default_datacenter: str) -> EventFiles:
    """Finds every event file below `root`, or `root` itself. Names that begin with . or _ are marks of Hive and Spark, no data.

    Raises FileNotFoundError when there is none, and what `list_files` raises.
    """
    listing = list_files(root)
    found = EventFiles([], list(listing.left_out), listing.marks)
    for file in listing.files:
        left_out = _why_left_out(file)
        if left_out:
            found.left_out.append(left_out)
        else:
            found.files.append(_input_file(file, default_datacenter))
    if not found.files:
        why = "".join(f"\n{left.path}: {left.reason}" for left in found.left_out)
        raise FileNotFoundError(f"no event files in {root}: expected Parquet, Avro or JSON lines{why}")
    return found


def _why_left_out(file: FoundFile) -> LeftOut | None:
    if not file.size:
        return LeftOut(file.path, "empty", may_hold_events=False)
    if key := wrong_key_in(file.path):
        return LeftOut(file.path, f"{key} is no part of a time", may_hold_events=True)
    if not name_of(file.path).endswith(FORMATS):
        return LeftOut(file.path, "not Parquet, Avro or JSON lines", may_hold_events=True)
    return None


def _input_file(file: FoundFile, default_datacenter: str) -> InputFile:
    partition = partition_of(file.path)
    return InputFile(file.path, datacenter_of(partition) if partition else default_datacenter, partition, file.size, file.version)


def read_file(file: InputFile, fields: frozenset[str] | None = None) -> Iterator[Raw]:
    """What is in the file, piece by piece; a file that breaks off gives what came before, then its problem. `fields`: of an event, which
    alone are read of a Parquet file; None: all.
    """
    count = 0
    try:
        for data in _pieces(file.path, fields):
            yield Raw(data, file.datacenter, file.partition)
            count += 1
    except _UNREADABLE as error:
        yield Raw(file.path.encode(), file.datacenter, file.partition, problem=f"{file.path}: cannot be read after {count} events: {error}")


def _pieces(path: str, fields: frozenset[str] | None) -> Iterator[bytes | Mapping[str, Any]]:
    name = name_of(path)
    with open_file(path) as file:
        if not file.read(1):
            raise ValueError("the file is empty")
        file.seek(0)
        if name.endswith(".parquet"):
            parquet = pq.ParquetFile(file)
            columns = None if fields is None else [name for name in parquet.schema_arrow.names if name.replace("_schema", "$schema") in fields]
            for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=columns) if parquet.num_row_groups else ():
                yield from (schemas.event_of_row(row) for row in batch.to_pylist())
        elif name.endswith(".avro"):
            yield from (schemas.event_of_row(cast("dict[str, Any]", row)) for row in fastavro.reader(file))
        else:
            lines = gzip.GzipFile(fileobj=file) if name.endswith(".gz") else file
            yield from (line.rstrip(b"\r\n") for line in lines if not line.isspace())


@dataclass
class Files(beam.PTransform):
    """A bounded source: gives Raw elements, one input file after the other."""

    files: Sequence[InputFile]
    fields: frozenset[str] | None = None  # of an event, which alone are needed; None: all

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Raw]:
        return pbegin | "ListFiles" >> beam.Create(self.files) | "ReadFile" >> beam.FlatMap(read_file, self.fields)
