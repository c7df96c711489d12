"""What the command line says of the events in files: where they are, and of which time."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime

from pipeline.times import time_of
from pipeline.wrong_use import WrongUse
from transforms.file_source import InputFile, find_files
from transforms.hive_layout import hour_of
from transforms.models import Configuration


def input_files(configuration: Configuration, arguments: argparse.Namespace) -> Sequence[InputFile]:
    """The files of `--input` whose partitions begin from `--from` on and before `--to`. Raises WrongUse when there are none."""
    try:
        files = find_files(arguments.input, configuration.datacenters[0])
    except (OSError, ValueError) as error:
        raise WrongUse(f"--input: {error}") from error
    since, until = time_of("--from", arguments.since), time_of("--to", arguments.until)
    if since is None and until is None:
        return files
    if without := [file.path for file in files if file.partition is None]:
        raise WrongUse(f"--from, --to: expected files in Hive layout (datacenter=eqiad/year=2024/…), got {without[0]}")
    chosen = [file for file in files if file.partition and _is_within(hour_of(file.partition), since, until)]
    if not chosen:
        hours = sorted({hour_of(file.partition) for file in files if file.partition})
        raise WrongUse(f"--from, --to: no partition of {arguments.input} is of that time; it has {hours[0]:%Y-%m-%dT%H:%M} to {hours[-1]:%Y-%m-%dT%H:%M}")
    return chosen


def _is_within(hour: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or hour >= since) and (until is None or hour < until)
