"""Part files of one dataset per stream and partition, written a piece at a time so that memory does not grow with the data."""

from __future__ import annotations

import gzip
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

import schemas

_MOST_ROWS_HELD = 4_000  # over all open files
_MOST_FILES_OPEN = 64


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A finished part file in the staging folder."""

    table: str
    partition: str
    path: str


class PartFile(ABC):
    """An open file of events with one schema."""

    suffix: ClassVar[str]

    def __init__(self, path: Path, schema: str) -> None:
        self.path, self.schema = path, schema

    @abstractmethod
    def append(self, events: Sequence[Mapping[str, Any]]) -> None: ...

    @abstractmethod
    def close(self) -> None: ...


class ParquetPart(PartFile):
    suffix = "parquet"

    def __init__(self, path: Path, schema: str) -> None:
        super().__init__(path, schema)
        self._columns = schemas.arrow_schema(schema)
        self._writer = pq.ParquetWriter(path, self._columns, compression="snappy")

    def append(self, events: Sequence[Mapping[str, Any]]) -> None:
        self._writer.write_table(pa.Table.from_pylist([schemas.table_row(event) for event in events], self._columns))

    def close(self) -> None:
        self._writer.close()


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


class _Open:
    """A part file on its way, and the events that are not yet in it."""

    def __init__(self) -> None:
        self.held: list[Mapping[str, Any]] = []
        self.file: PartFile | None = None


class PartFiles:
    """The open part files of one bundle below a staging folder, by table and partition."""

    def __init__(self, staging: Path, form: str) -> None:
        self._staging, self._part_file = staging, PART_FILES[form]
        self._open: dict[tuple[str, str], _Open] = {}  # least recently used first
        self._held = 0
        self._finished: list[WrittenFile] = []

    def add(self, table: str, partition: str, event: Mapping[str, Any]) -> None:
        part = self._open.pop((table, partition), None) or _Open()
        self._open[table, partition] = part
        part.held.append(event)
        self._held += 1
        if self._held >= _MOST_ROWS_HELD:
            self._append(*max(self._open.items(), key=lambda item: len(item[1].held)))
        if len(self._open) > _MOST_FILES_OPEN:
            self._close(next(iter(self._open)))

    def close(self) -> list[WrittenFile]:
        """Finishes all files and says which there are."""
        for place in list(self._open):
            self._close(place)
        return self._finished

    def _append(self, place: tuple[str, str], part: _Open) -> None:
        if part.file is None:
            folder = self._staging.joinpath(*place)
            folder.mkdir(parents=True, exist_ok=True)
            part.file = self._part_file(folder / f"part-{uuid.uuid4()}.{self._part_file.suffix}", part.held[0]["$schema"])
        part.file.append(part.held)
        self._held -= len(part.held)
        part.held = []

    def _close(self, place: tuple[str, str]) -> None:
        part = self._open.pop(place)
        if part.held:
            self._append(place, part)
        assert part.file is not None
        part.file.close()
        self._finished.append(WrittenFile(*place, str(part.file.path)))
