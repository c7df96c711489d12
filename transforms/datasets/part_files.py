"""Part files of a dataset, written a piece at a time so that memory does not grow with the data."""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

import schemas
from transforms.datasets.storage_paths import Place, files_under

_ROWS_OF_A_GROUP = 4_000


class PartFile(ABC):
    """An open file of events with one schema."""

    suffix: ClassVar[str]

    def __init__(self, path: Path, schema: str) -> None:
        self.path, self.schema = path, schema

    @abstractmethod
    def append(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Takes events to be written. Raises OSError, and what events of another schema raise."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is not written yet, and closes the file. Raises OSError."""


class ParquetPart(PartFile):
    suffix = "parquet"

    def __init__(self, path: Path, schema: str) -> None:
        super().__init__(path, schema)
        self._fields, self._columns = list(schemas.load(schema)["properties"]), schemas.arrow_schema(schema)
        self._writer = pq.ParquetWriter(path, self._columns, compression="snappy")
        self._group: list[pa.RecordBatch] = []  # a tenth of what the same rows take as objects of Python

    def append(self, events: Sequence[Mapping[str, Any]]) -> None:
        columns = [
            pa.array([event.get(name) for event in events], column.type)
            for name, column in zip(self._fields, self._columns, strict=True)
        ]
        self._group.append(pa.RecordBatch.from_arrays(columns, schema=self._columns))
        if sum(batch.num_rows for batch in self._group) >= _ROWS_OF_A_GROUP:
            self._write_group()

    def close(self) -> None:
        self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        if self._group:
            self._writer.write_table(pa.Table.from_batches(self._group))
            self._group.clear()


class AvroPart(PartFile):
    suffix = "avro"

    def __init__(self, path: Path, schema: str) -> None:
        super().__init__(path, schema)
        self._file = path.open("wb")
        self._writer = fastavro.write.Writer(self._file, schemas.avro_schema(schema), codec="deflate")

    def append(self, events: Sequence[Mapping[str, Any]]) -> None:
        for event in events:
            self._writer.write(schemas.table_row(event))

    def close(self) -> None:
        self._writer.flush()
        self._file.close()


class JsonLinesPart(PartFile):
    suffix = "jsonl.gz"

    def __init__(self, path: Path, schema: str) -> None:
        super().__init__(path, schema)
        self._file = gzip.GzipFile(path, "wb")

    def append(self, events: Sequence[Mapping[str, Any]]) -> None:
        self._file.writelines(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)

    def close(self) -> None:
        self._file.close()


PART_FILES: Mapping[str, type[PartFile]] = {"parquet": ParquetPart, "avro": AvroPart, "jsonl": JsonLinesPart}


def format_of(folder: Place) -> str | None:
    """Returns the key of PART_FILES that the rows below a folder, a table or a partition, are of: of the
    first file. None where there is none."""
    for path in files_under(folder):
        for form, part in PART_FILES.items():
            if path.name.startswith("part-") and path.name.endswith(f".{part.suffix}"):
                return form
    return None
