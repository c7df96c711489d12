"""The command `regenerate`: files of events in, one dataset of scores per model out, on the DirectRunner."""

from __future__ import annotations

import errno
import logging
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import schemas
from pipeline.batch import direct_runner, estimate, html_report
from pipeline.batch.holes import BackfillList
from pipeline.batch.input_files import input_files, print_left_out
from pipeline.batch.plan import Planner
from pipeline.batch.run import Outcome, load_or_create, new_planner, open_run, working_before
from pipeline.config.overrides import load_with, names_in, with_rate_limit
from pipeline.config.shared_options import ClientOptions, EventFilesOptions
from pipeline.console.columns import counted
from pipeline.flink import batch_job_server
from pipeline.options import flag, local_directory, option
from pipeline.usage_error import UsageError
from transforms.datasets.filesystem import is_remote
from transforms.datasets.part_files import format_of
from transforms.datasets.tables import DatasetWriter
from transforms.lift_wing.responses import NOT_CALLED
from transforms.models.model import Configuration
from transforms.unforeseen import FuseBlown

_REASONS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Options(EventFilesOptions, ClientOptions):
    output: Path = option(
        "--output",
        type=local_directory,
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
    batch_job_server.check(beam_options)
    _check_places(options)
    found = input_files(configuration, options)
    configuration = with_rate_limit(configuration, options.max_rate)
    writer = _writer(configuration, options)
    _check_output(writer, options)
    configuration = direct_runner.without_stopped(configuration)
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
    stopped = _stop_on_signals()
    try:
        with open_run(planner, resume=options.resume) as batch:
            print(work, flush=True)
            with batch_job_server.on_flink_if_asked(
                beam_options, writer.working / "flink"
            ) as options_of_runner:
                outcome = batch.score(configuration, found.files, options_of_runner)
    except BaseException as error:
        if stopped:
            print(
                f"stopped; what lies in {options.output} is whole partitions, and --resume goes on from here",
                file=sys.stderr,
            )
            return 128 + stopped[0]
        if f"[Errno {errno.ENOSPC}]" in str(error):
            print(
                f"the disk of {options.output} is full; make room, and --resume goes on from here",
                file=sys.stderr,
            )
            return 1
        if blown := re.search(rf"{FuseBlown.__name__}\W+(.*)", f"{type(error).__name__}: {error}"):
            print(
                f"stopped: {blown[1]}; what was answered stays, and --resume goes on from here",
                file=sys.stderr,
            )
            return 1
        raise
    code = _report(configuration, outcome, options)
    try:
        print(f"\nreport: {html_report.write(configuration, writer, outcome)}")
    except (OSError, LookupError, TypeError, ValueError) as error:  # what only reports ends no run
        print(f"\nno report: {error!r}")
    return code or int(found.may_miss_events)


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
    output = options.output
    if is_remote(options.input):
        return
    given, root = Path(options.input).resolve(), output.resolve()
    if root == given:
        raise UsageError(f"--output: {output} is the input; name another directory")
    if given in root.parents or root in given.parents:
        which = "lies in the input, which" if given in root.parents else "holds the input, which"
        raise UsageError(
            f"--output: {output} {which} would then have scores among its events; name another directory"
        )


def _check_output(writer: DatasetWriter, options: Options) -> None:
    output = options.output
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output: {output} is no directory")
    if not (options.resume or options.overwrite):
        if writer.working.is_dir() or working_before(writer.root).is_dir():
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


def _report(configuration: Configuration, outcome: Outcome, options: Options) -> int:
    counters, output = outcome.counters, options.output
    narrowed = "".join(
        f" {option} {value}"
        for option, value in (("--only", options.only), ("--wikis", options.wikis))
        if value is not None
    )
    if not counters and not outcome.unfinished:
        print("\nnothing to ask for: every partition has what its input, rule and wikis ask for now")
    else:
        events, without = counters["ReadEvents/events"], counters["SelectModels/dropped_no_model"]
        print(
            f"\n{counted(events, 'event')}, {without:,} of them without a model"
            + (narrowed and f" of{narrowed}")
        )
        if done := counters["SelectModels/done_before"]:
            print(
                f"{counted(done, 'score')} {'was' if done == 1 else 'were'} there already, or not to be "
                "asked for"
            )
        direct_runner.print_models(
            configuration, counters, "dataset", lambda model: output / schemas.table_name(model.stream)
        )
    if outcome.unwanted:
        _print_unwanted(outcome)
    if outcome.failures:
        print(
            f"\n{counted(outcome.failures.total(), 'failure')}, with their originals in "
            f"{output / schemas.table_name(configuration.failure_stream)}"
        )
        direct_runner.print_reasons(outcome.failures, _REASONS_SHOWN)
    if outcome.unread:
        print(
            f"\n{counted(len(outcome.unread), 'file')} could not be read; the partitions have what the "
            "others hold, and --resume tries again:"
        )
        for reason in outcome.unread:
            print(f"          {reason}")
    if outcome.unfinished:
        _print_unfinished(outcome)
    if outcome.ended:
        print(f"\nno model that was asked gave a score, so nothing more was asked: {outcome.ended}")
    return 1 if outcome.failures or outcome.unfinished or outcome.unread else 0


def _print_unwanted(outcome: Outcome) -> None:
    """Names the rows that stay though no event of the input, no rule and no wiki asks for them any more."""
    print(
        f"\n{counted(outcome.unwanted.total(), 'row')} kept that the input, the rules and the wikis do not "
        "ask for any more; --overwrite removes them:"
    )
    for model in sorted({model for model, _ in outcome.unwanted}):
        of_model = {
            partition: count for (name, partition), count in sorted(outcome.unwanted.items()) if name == model
        }
        print(
            f"{sum(of_model.values()):>8}  {model} "
            f"({next(iter(of_model))}{', …' if len(of_model) > 1 else ''})"
        )


def _print_unfinished(outcome: Outcome) -> None:
    count = len(outcome.unfinished)
    print(
        f"\n{counted(count, 'partition')} {'is' if count == 1 else 'are'} not written, as not all their "
        "scores could be had; --resume goes on with them:"
    )
    alike: dict[tuple[str, str], list[str]] = {}
    for (model, partition), reasons in outcome.unfinished.items():
        reason = reasons.most_common(1)[0][0].rpartition(NOT_CALLED)[2]
        alike.setdefault((model, reason), []).append(partition)
    for (model, reason), partitions in alike.items():
        print(
            f"{len(partitions):>8}  {model}: {reason} ({partitions[0]}{', …' if len(partitions) > 1 else ''})"
        )
