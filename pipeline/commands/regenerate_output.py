"""What `regenerate` requires of the place of its output, before a run begins."""

from __future__ import annotations

from pathlib import Path, PurePath

from pipeline.batch.resume import working_before
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.filesystem import is_remote, name_of
from transforms.datasets.part_files import format_of
from transforms.datasets.storage_paths import Place, address_of
from transforms.models.model import Configuration


def check_apart(events: str, place: Place) -> None:
    """Raises UsageError for an output that is the input, lies in it or holds it."""
    output = address_of(place)
    if is_remote(events) != is_remote(output):
        return
    given, root = _comparable(events), _comparable(output)
    if root == given:
        raise UsageError(f"--output: {output} is the input; name another directory")
    if given in root.parents or root in given.parents:
        which = "lies in the input, which" if given in root.parents else "holds the input, which"
        raise UsageError(
            f"--output: {output} {which} would then have scores among its events; name another directory"
        )


def _comparable(path: str) -> PurePath:
    return PurePath(name_of(path)) if is_remote(path) else Path(path).resolve()


def check_directory(output: Place) -> None:
    """Raises UsageError for a place that is something else than a directory."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output: {output} is no directory")


def check_new(writer: DatasetWriter, output: Place, *, may_have_scores: bool) -> None:
    """Raises UsageError where a run broke off, or, unless `may_have_scores`, where something is already."""
    if writer.working.is_dir() or (isinstance(writer.root, Path) and working_before(writer.root).is_dir()):
        raise UsageError(
            f"--output: a run to {output} broke off; say --resume to go on with it, or --overwrite to "
            "begin anew"
        )
    if (
        output.is_dir()
        and any(path.name != "lost+found" for path in output.iterdir())
        and not may_have_scores
    ):
        ways = (
            "name another directory, or say --resume to add what is missing, or --overwrite to "
            "replace the partitions it has"
        )
        raise UsageError(f"--output: {output} is not empty; {ways}")


def writer_to(output: Place, chosen: str | None, configuration: Configuration) -> DatasetWriter:
    """Returns what writes the datasets of a configuration. Raises UsageError when tables are there in another
    format than `chosen`, or where nothing can be written into them."""
    root, models = output.resolve(), configuration.models.values()
    writer = DatasetWriter.of_models(root, models, configuration.failure_stream, chosen or "parquet")
    for table in [*map(writer.table, writer.streams), writer.failures("")] if root.is_dir() else []:
        found = format_of(table)
        if chosen and found and found != chosen:
            ways = f"leave --format out to go on in {found}, or name another directory"
            raise UsageError(
                f"--format: {table} is in {found}, and one table in two formats can be read by nobody; {ways}"
            )
        if writer.is_on_another_device(table):
            raise UsageError(
                f"--output: {table} is on another file system than {root}, where partitions are made "
                "ready; name a directory that holds all"
            )
    return writer
