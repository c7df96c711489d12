"""Events from files: JSON lines, Avro or Parquet, gzip or not, in Hive layout or in one heap."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import apache_beam as beam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

import schemas
from transforms import places
from transforms.elements import Raw
from transforms.hive_layout import datacenter_of, partition_of

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


def find_files(root: str, default_datacenter: str) -> list[InputFile]:
    """Every event file below `root`, or `root` itself. Names that begin with . or _ are marks of Hive and Spark, no data.

    Raises FileNotFoundError when there is none, and what `places.found_at` raises.
    """
    found = [_input_file(file, default_datacenter) for file in places.found_at(root) if _is_of_events(file)]
    if not found:
        raise FileNotFoundError(f"no event files in {root}: expected names that end in {', '.join(FORMATS)}")
    return found


def _is_of_events(file: places.Found) -> bool:
    return places.name_of(file.path).endswith(FORMATS) and not any(part.startswith((".", "_")) for part in file.below.split("/"))


def _input_file(file: places.Found, default_datacenter: str) -> InputFile:
    partition = partition_of(file.path)
    return InputFile(file.path, datacenter_of(partition) if partition else default_datacenter, partition, file.size)


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
    name = places.name_of(path)
    with places.opened(path) as file:
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
