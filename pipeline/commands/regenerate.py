"""The command `regenerate`: files of events in, one dataset of scores per model out, on the DirectRunner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.batch import direct_runner, estimate, flink_runner, html_report
from pipeline.batch.input_files import input_files, print_left_out
from pipeline.batch.missing_scores import BackfillList
from pipeline.batch.plan import Planner
from pipeline.batch.resume import load_or_create, new_planner, open_run
from pipeline.batch.run_outcome import Outcome
from pipeline.batch.runner import Runner
from pipeline.batch.text_report import print_report
from pipeline.commands.publish import NAMESPACE, Publish, into
from pipeline.commands.regenerate_early_end import raise_on_signals, say_why_ended
from pipeline.commands.regenerate_output import check_apart, check_directory, check_new, writer_to
from pipeline.config.overrides import load_with, with_rate_limit
from pipeline.config.shared_options import ClientOptions, EventFilesOptions
from pipeline.console.columns import counted
from pipeline.options import check_reached, directory, flag, option
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.event_files import EventFiles
from transforms.datasets.storage_paths import Place, address_of
from transforms.models.model import Configuration


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


@dataclass(frozen=True)
class _Work:
    """What is to be regenerated, when nothing is wrong with what the options say."""

    configuration: Configuration
    found: EventFiles
    planner: Planner
    runner: Runner
    summary: str  # a line
    rounding: str  # a line, or nothing: see `Runner.rounding`
    publish: Publish | None


def run(options: Options, beam_options: list[str]) -> int:
    """Scores every event below `--input` and prints what came of it. Returns 1 when some elements failed or
    are unfinished."""
    work = _prepare(options, beam_options)
    print_left_out(work.found)
    if options.dry_run:
        print(work.summary)
        planner = load_or_create(work.planner) if options.resume else work.planner
        return estimate.run(work.configuration, work.found.files, planner)
    stopped, output = raise_on_signals(), address_of(options.output)
    try:
        outcome, is_published = _score_and_publish(work, options)
    except BaseException as error:
        code = say_why_ended(error, stopped, output)
        if code is None:
            raise
        return code
    _print_outcome(work, outcome, options)
    return int(work.found.may_miss_events or outcome.is_incomplete or not is_published)


def _prepare(options: Options, beam_options: list[str]) -> _Work:
    """Returns what is to be done. Raises UsageError."""
    configuration = load_with(options.models, options.overrides)
    runner = flink_runner.runner_of(beam_options)
    check_apart(options.input, options.output)
    check_reached(options.output, "--output")
    found = input_files(configuration, options)
    configuration = with_rate_limit(configuration, options.max_rate)
    writer = writer_to(options.output, options.format, configuration)
    check_directory(options.output)
    if not (options.resume or options.overwrite):
        check_new(writer, options.output, may_have_scores=options.missing is not None)
    configuration = direct_runner.without_stopped(configuration)
    rounding = runner.rounding(configuration)
    publish = into(options.catalog, options.namespace) if options.catalog else None
    planner = _planner(writer, configuration, options)
    summary = (
        f"{counted(len(found.files), 'file')} from {options.input}, scored by {configuration.lift_wing.url}"
    )
    return _Work(configuration, found, planner, runner, summary, rounding, publish)


def _score_and_publish(work: _Work, options: Options) -> tuple[Outcome, bool]:
    """Returns what became of the run, and whether all that it should publish is published."""
    writer = work.planner.writer
    with open_run(work.planner, resume=options.resume) as batch:
        print(*filter(None, (work.summary, work.rounding)), sep="\n", flush=True)
        with (
            _flink_folder(writer) as folder,
            flink_runner.started_if_asked(work.runner, address_of(options.output), folder) as started,
        ):
            outcome = batch.score(work.configuration, work.found.files, started)
        return outcome, work.publish(writer, work.configuration) if work.publish else True


def _print_outcome(work: _Work, outcome: Outcome, options: Options) -> None:
    print_report(work.configuration, outcome, options.output, _narrowed(options))
    try:
        report = html_report.write(work.configuration, work.planner.writer, outcome)
        print(f"\nreport: {address_of(report)}")
    except Exception as error:  # what only reports ends no run
        print(f"\nno report: {error!r}")


@contextmanager
def _flink_folder(writer: DatasetWriter) -> Iterator[Path]:
    """Yields the folder of a job server's logs."""
    if isinstance(writer.working, Path):
        yield writer.working / "flink"
    else:
        with writer.scratch() as folder:
            yield Path(folder)


def _narrowed(options: Options) -> str:
    """Returns the options that leave events out, as they were given."""
    narrowing = (("--only", options.only), ("--wikis", options.wikis))
    return " ".join(f"{name} {value}" for name, value in narrowing if value is not None)


def _planner(writer: DatasetWriter, configuration: Configuration, options: Options) -> Planner:
    backfill = BackfillList.read(options.missing) if options.missing else None
    return new_planner(
        writer, configuration, overwrite=options.overwrite, scope=options.scope, backfill=backfill
    )
