"""What the command line says of the events in files: where they are, and of which time."""

from __future__ import annotations

import sys
from datetime import datetime

from pipeline.config.shared_options import EventFilesOptions
from pipeline.times import time_of
from pipeline.usage_error import UsageError
from schemas.hive_layout import hour_of
from transforms.datasets.event_files import EventFiles, find_files
from transforms.datasets.filesystem import printable
from transforms.datasets.folder_walk import LeftOut
from transforms.models.model import Configuration

_KINDS_SHOWN = 5


def input_files(configuration: Configuration, options: EventFilesOptions) -> EventFiles:
    """Finds the files of `--input` whose partitions begin from `--from` on and before `--to`. Raises
    UsageError when there are none."""
    try:
        found = find_files(options.input, configuration.datacenters[0])
    except (OSError, ValueError) as error:
        raise UsageError(f"--input: {printable(str(error))}") from error
    since, until = time_of("--from", options.since), time_of("--to", options.until)
    return found if since is None and until is None else _of_time(found, options.input, since, until)


def _of_time(found: EventFiles, place: str, since: datetime | None, until: datetime | None) -> EventFiles:
    """Returns the files at a place whose partitions are of a time, those without a partition among what is
    left out. Raises UsageError when there are none."""
    hours = sorted({hour_of(file.partition) for file in found.files if file.partition})
    if not hours:
        raise UsageError(
            "--from, --to: expected files in Hive layout (datacenter=eqiad/year=2024/…), got "
            f"{printable(found.files[0].path)}"
        )
    chosen = [
        file for file in found.files if file.partition and _is_within(hour_of(file.partition), since, until)
    ]
    if not chosen:
        raise UsageError(
            f"--from, --to: no partition of {place} is of that time; it has "
            f"{hours[0]:%Y-%m-%dT%H:%M} to {hours[-1]:%Y-%m-%dT%H:%M}"
        )
    without = [
        LeftOut(file.path, "not in Hive layout, so that --from and --to cannot choose it", True)
        for file in found.files
        if file.partition is None
    ]
    return found._replace(files=chosen, left_out=found.left_out + without)


def print_left_out(found: EventFiles) -> None:
    """Names on stderr what is not read, and counts what readers of Hive tables pass over."""
    for left in found.left_out:
        print(f"not read: {printable(left.path)}: {printable(left.reason)}", file=sys.stderr)
    if found.marks:
        kinds = ", ".join(
            f"{count} {printable(kind)}" for kind, count in found.marks.most_common(_KINDS_SHOWN)
        )
        print(
            "passed over, as readers of Hive tables do: "
            f"{kinds}{', …' if len(found.marks) > _KINDS_SHOWN else ''}",
            file=sys.stderr,
        )


def _is_within(hour: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or hour >= since) and (until is None or hour < until)
