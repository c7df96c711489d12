"""Events to files in Hive layout: written below a staging folder first, so that a partition appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

import schemas
from transforms.elements import OutputEvent
from transforms.hive_layout import partition_at
from transforms.part_files import PartFiles, WrittenFile


@dataclass
class HiveFiles(beam.PTransform):
    """A sink: writes each event to a part file of its stream's table and partition, and gives the WrittenFiles."""

    staging: Path
    form: str  # a key of transforms.part_files.PART_FILES

    def expand(self, events: beam.PCollection[OutputEvent]) -> beam.PCollection[WrittenFile]:
        return events | "WriteFiles" >> beam.ParDo(_WriteFilesFn(self.staging, self.form))


class _WriteFilesFn(beam.DoFn):
    def __init__(self, staging: Path, form: str) -> None:
        self._staging, self._form = staging, form

    def start_bundle(self) -> None:
        self._files = PartFiles(self._staging, self._form)

    def process(self, event: OutputEvent) -> None:
        partition = event.partition or partition_at(event.datacenter, event.body["dt"])
        self._files.add(schemas.table_name(event.stream), partition, event.body)

    def finish_bundle(self) -> Iterator[beam.utils.windowed_value.WindowedValue]:
        for file in self._files.close():
            yield beam.transforms.window.GlobalWindows.windowed_value(file)


@dataclass
class MoveIntoPlace(beam.PTransform):
    """Takes the WrittenFiles of all sinks and gives the path below `root` of each partition that now lies there, whole."""

    staging: Path
    root: Path

    def expand(self, written: Iterable[beam.PCollection[WrittenFile]]) -> beam.PCollection[str]:
        return (
            written
            | "AllFiles" >> beam.Flatten()
            | "KeyByPartition" >> beam.Map(lambda file: (f"{file.table}/{file.partition}", file))
            | "GroupByPartition" >> beam.GroupByKey()
            | "Move" >> beam.MapTuple(lambda place, files: move_into_place(place, files, self.staging, self.root))
        )


def move_into_place(place: str, files: Iterable[WrittenFile], staging: Path, root: Path) -> str:
    """Gathers the files of a partition in one folder and renames it to its place, in the stead of one that is there.

    May be repeated when it broke off: what is moved stays moved.
    """
    whole, target = staging / "whole" / place, root / place
    whole.mkdir(parents=True, exist_ok=True)
    for file in files:
        if Path(file.path).exists():
            Path(file.path).rename(whole / Path(file.path).name)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and any(whole.iterdir()):
        replaced = staging / "replaced" / place
        replaced.parent.mkdir(parents=True, exist_ok=True)
        target.rename(replaced)
    if any(whole.iterdir()):
        whole.rename(target)
    return place
