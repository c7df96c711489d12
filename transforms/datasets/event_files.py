"""Events from files: Parquet, Avro or JSON lines, compressed or not, in Hive layout or in one heap.

Whatever reading a file raises is a problem of that file, and of the smallest piece that its format can skip:
a row, a row group, a block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import apache_beam as beam

from schemas.hive_layout import datacenter_of, partition_of, wrong_key_in
from transforms.datasets.file_contents import UnknownContentError, format_by_name, opened
from transforms.datasets.file_pieces import BadRow, Unreadable, pieces
from transforms.datasets.filesystem import FoundFile, list_files, open_file, printable
from transforms.datasets.folder_walk import LeftOut
from transforms.datasets.storage_paths import in_threads
from transforms.elements import SourceRecord


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read, and what its place says of its events."""

    path: str
    datacenter: str
    partition: str | None
    size: int = field(default=0, compare=False)  # bytes, when it was found
    # another text when the content is another: an ETag, or the time of the last change
    version: str = field(default="", compare=False)


class EventFiles(NamedTuple):
    """The files to read, and what is not read beside them."""

    files: list[InputFile]
    left_out: list[LeftOut]
    marks: Counter[str]  # what readers of Hive tables pass over (_SUCCESS, *.crc), by kind

    @property
    def may_miss_events(self) -> bool:
        return any(left.may_hold_events for left in self.left_out)


def find_files(root: str, default_datacenter: str) -> EventFiles:
    """Finds every event file below `root`, or `root` itself. Names that begin with . or _ are marks of Hive
    and Spark, no data.

    Raises FileNotFoundError when there is none, and what `list_files` raises.
    """
    listing = list_files(root)
    reasons = in_threads(_why_left_out, listing.files)  # each may be a request to a store
    files = [
        _input_file(file, default_datacenter)
        for file, reason in zip(listing.files, reasons, strict=True)
        if reason is None
    ]
    left_out = [
        *listing.left_out,
        *(LeftOut(file.path, *reason) for file, reason in zip(listing.files, reasons, strict=True) if reason),
    ]
    if not files:
        why = "".join(f"\n{left.path}: {left.reason}" for left in left_out)
        raise FileNotFoundError(f"no event files in {root}: expected Parquet, Avro or JSON lines{why}")
    return EventFiles(files, left_out, listing.marks)


def _why_left_out(file: FoundFile) -> tuple[str, bool] | None:
    """Returns the reason, and whether the file may hold events; None for a file to read. One whose name says
    its format is not opened here."""
    if not file.size:
        return "empty", False
    if key := wrong_key_in(file.path):
        return f"{key} is no part of a time", True
    if file.path.endswith("._COPYING_"):
        return "a copy that did not end (hdfs dfs -put)", True
    if format_by_name(file.path):
        return None
    try:
        with open_file(file.path) as content:
            opened(content, file.path)
    except UnknownContentError as error:
        return str(error), True
    except Exception as error:  # whatever its file system or codec makes of it
        return f"cannot be read: {error}", True
    return None


def _input_file(file: FoundFile, default_datacenter: str) -> InputFile:
    partition = partition_of(file.path)
    return InputFile(
        file.path,
        datacenter_of(partition) if partition else default_datacenter,
        partition,
        file.size,
        file.version,
    )


def read_file(file: InputFile, fields: frozenset[str] | None = None) -> Iterator[SourceRecord]:
    """Yields what is in the file, and in its place what cannot be read of it. Raises nothing.

    `fields`: of an event, which alone are read of a Parquet file; None: all.
    """
    path, datacenter, partition = printable(file.path), file.datacenter, file.partition
    count = 0
    for piece in pieces(file.path, fields):
        if type(piece) is Unreadable:
            yield SourceRecord(
                path.encode(),
                datacenter,
                partition,
                f"{path}: cannot be read after {count} events: {piece.reason}",
                final=piece.final,
            )
        elif type(piece) is BadRow:
            count += 1
            yield SourceRecord(
                piece.event, datacenter, partition, f"{path}: event {count}: {piece.reason}", final=True
            )
        else:
            count += 1
            yield SourceRecord(piece, datacenter, partition, origin=path)  # type: ignore[arg-type]


@dataclass
class Files(beam.PTransform):
    """Reads input files, one after the other.

    In: nothing: a source.
    Out: SourceRecord, for each row or line, or for a piece that cannot be read.
    Bounded: bounded.
    Guarantee: each row once, whatever else in its file cannot be read.
    """

    files: Sequence[InputFile]
    fields: frozenset[str] | None = None  # of an event, which alone are needed; None: all

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[SourceRecord]:
        return (
            pbegin
            | "ListFiles" >> beam.Create(self.files)
            | "ReadFile" >> beam.FlatMap(read_file, self.fields)
        )
