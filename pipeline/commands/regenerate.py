"""The command `regenerate`: files of events in, one dataset of scores per model out, on the DirectRunner."""

from __future__ import annotations

import errno
import logging
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from pipeline.batch import direct_runner, estimate, flink_runner, html_report
from pipeline.batch.holes import BackfillList
from pipeline.batch.input_files import input_files, print_left_out
from pipeline.batch.open_run import load_or_create, new_planner, open_run, working_before
from pipeline.batch.plan import Planner
from pipeline.batch.text_report import print_report
from pipeline.commands.publish import NAMESPACE, into
from pipeline.config.overrides import load_with, names_in, with_rate_limit
from pipeline.config.shared_options import ClientOptions, EventFilesOptions
from pipeline.console.columns import counted
from pipeline.flink.causes import last_words
from pipeline.options import check_reached, directory, flag, option
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.filesystem import is_remote, name_of
from transforms.datasets.part_files import format_of
from transforms.datasets.places import Place, address_of
from transforms.models.model import Configuration
from transforms.unforeseen import FuseBlownError


@dataclass(frozen=True, kw_only=True)
class Options(EventFilesOptions, ClientOptions):
    output: Place = option(
        "--output",
        type=directory,
        required=True,
        metavar="DIR",
        help="where the datasets go, one directory a model",
    )
    format: str | None = option(
        "--format",
        choices=["parquet", "avro", "jsonl"],
        help="of the datasets (default: that of what is there already, or parquet)",
    )
    max_rate: float | None = option(
        "--max-rate", type=float, metavar="N", help="calls a second at most, over all models"
    )
    catalog: str | None = option(
        "--catalog",
        metavar="NAME",
        help="publish at the end: tables of Iceberg, in this catalog of pyiceberg's configuration",
    )
    namespace: str = option(
        "--namespace", default=NAMESPACE, metavar="NAME", help=f"of these tables (default: {NAMESPACE})"
    )
    dry_run: bool = flag(
        "--dry-run",
        help="say how many calls it takes, how long, and what they ask of the wikis; calls nothing",
    )
    resume: bool = flag(
        "--resume",
        exclusive="start",
        help="go on with a run that broke off, and ask for what is missing, failed, or wanted by now",
    )
    missing: Path | None = option(
        "--missing",
        exclusive="start",
        type=Path,
        metavar="FILE",
        help="only what `audit --list FILE` found missing, failed or older",
    )
    overwrite: bool = flag(
        "--overwrite",
        exclusive="start",
        help="make anew what is there, one partition after the other; with --only and --wikis no other rows",
    )


def run(options: Options, beam_options: list[str]) -> int:
    """Scores every event below `--input` and prints what came of it. Gives 1 when some elements failed or are
    unfinished."""
    configuration = load_with(options.models, options.overrides)
    runner = flink_runner.runner_of(beam_options)
    _check_places(options)
    check_reached(options.output, "--output")
    found = input_files(configuration, options)
    configuration = with_rate_limit(configuration, options.max_rate)
    writer = _writer(configuration, options)
    _check_output(writer, options)
    configuration = direct_runner.without_stopped(configuration)
    rounding = runner.rounding(configuration)
    publish = into(options.catalog, options.namespace) if options.catalog else None
    planner = _planner(writer, configuration, options)
    print_left_out(found)
    work = (
        f"{counted(len(found.files), 'file')} from {options.input}, scored by {configuration.lift_wing.url}"
    )
    if options.dry_run:
        print(work)
        return estimate.run(
            configuration, found.files, load_or_create(planner) if options.resume else planner
        )
    stopped, output = _stop_on_signals(), address_of(options.output)
    try:
        with open_run(planner, resume=options.resume) as batch:
            print(*filter(None, (work, rounding)), sep="\n", flush=True)
            with (
                _flink_folder(writer) as folder,
                flink_runner.started_if_asked(runner, output, folder) as started,
            ):
                outcome = batch.score(configuration, found.files, started)
            is_published = publish(writer, configuration) if publish else True
    except BaseException as error:
        if stopped:
            print(
                f"stopped; what lies in {output} is whole partitions, and --resume goes on from here",
                file=sys.stderr,
            )
            return 128 + stopped[0]
        if why := _why_ended(f"{type(error).__name__}: {error}", output):
            print(f"{why}, and --resume goes on from here", file=sys.stderr)
            return 1
        raise
    print_report(configuration, outcome, options.output, _narrowed(options))
    try:
        print(f"\nreport: {address_of(html_report.write(configuration, writer, outcome))}")
    except Exception as error:  # what only reports ends no run
        print(f"\nno report: {error!r}")
    return int(found.may_miss_events or outcome.is_incomplete or not is_published)


def _why_ended(error: str, output: str) -> str | None:
    """What is to be said of an error that is none of this program, which a runner tells in words of its own;
    None for another."""
    if f"[Errno {errno.ENOSPC}]" in error:
        return f"the disk of {output} is full; make room"
    if blown := re.search(rf"{FuseBlownError.__name__}\W+(.*)", error):
        return f"stopped: {blown[1]}; what was answered stays"
    if failed := re.search(
        r"\b(?:OS|Permission|FileNotFound|Timeout|Connection)Error: (.+?)(?: \[while running.*)?$",
        error,
        re.MULTILINE,
    ):
        return f"stopped: {failed[1]}; what was answered stays"
    if job := re.search(r"failed in state \w+: (.*)", error, re.DOTALL):
        return f"stopped: Flink's job failed ({last_words(job[1])}); what was answered stays"
    return None


@contextmanager
def _flink_folder(writer: DatasetWriter) -> Iterator[Path]:
    """Where a job server has its logs."""
    if isinstance(writer.working, Path):
        yield writer.working / "flink"
    else:
        with writer.scratch() as folder:
            yield Path(folder)


def _narrowed(options: Options) -> str:
    """The options that leave events out, as they were given."""
    narrowing = (("--only", options.only), ("--wikis", options.wikis))
    return " ".join(f"{name} {value}" for name, value in narrowing if value is not None)


def _planner(writer: DatasetWriter, configuration: Configuration, options: Options) -> Planner:
    scope = frozenset(names_in(options.wikis)) if options.wikis is not None else None
    backfill = BackfillList.read(options.missing) if options.missing else None
    return new_planner(writer, configuration, overwrite=options.overwrite, scope=scope, backfill=backfill)


def _writer(configuration: Configuration, options: Options) -> DatasetWriter:
    """Raises UsageError when tables are there in another format than `--format`, or where nothing can be
    written into them."""
    root = options.output.resolve()
    streams = {model.name: model.stream for model in configuration.models.values()}
    writer = DatasetWriter(root, options.format or "parquet", streams, configuration.failure_stream)
    for table in [*map(writer.table, streams), writer.failures("")] if root.is_dir() else []:
        found = format_of(table)
        if options.format and found and found != options.format:
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


def _check_places(options: Options) -> None:
    output = address_of(options.output)
    if is_remote(options.input) != is_remote(output):
        return
    given, root = _comparable(options.input), _comparable(output)
    if root == given:
        raise UsageError(f"--output: {output} is the input; name another directory")
    if given in root.parents or root in given.parents:
        which = "lies in the input, which" if given in root.parents else "holds the input, which"
        raise UsageError(
            f"--output: {output} {which} would then have scores among its events; name another directory"
        )


def _comparable(path: str) -> PurePath:
    return PurePath(name_of(path)) if is_remote(path) else Path(path).resolve()


def _check_output(writer: DatasetWriter, options: Options) -> None:
    output = options.output
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output: {output} is no directory")
    if not (options.resume or options.overwrite):
        if writer.working.is_dir() or (
            isinstance(writer.root, Path) and working_before(writer.root).is_dir()
        ):
            raise UsageError(
                f"--output: a run to {output} broke off; say --resume to go on with it, or --overwrite to "
                "begin anew"
            )
        if (
            output.is_dir()
            and any(path.name != "lost+found" for path in output.iterdir())
            and not options.missing
        ):
            ways = (
                "name another directory, or say --resume to add what is missing, or --overwrite to "
                "replace the partitions it has"
            )
            raise UsageError(f"--output: {output} is not empty; {ways}")


def _stop_on_signals() -> list[int]:
    """Lets SIGTERM end a run as Ctrl-C does, and tells which came: Beam passes both on as errors of the step
    that ran just then."""
    received: list[int] = []

    def stop(number: int, frame: object) -> None:
        received.append(number)
        logging.disable()  # Beam's account of where it was
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return received
