"""The command `regenerate`: files of events in, one dataset of scores per model out, on the DirectRunner."""

from __future__ import annotations

import argparse
import errno
import logging
import signal
import sys
from pathlib import Path

import schemas
from pipeline import bounded_run, dry_run, flink_batches, report
from pipeline.audit import Missing
from pipeline.batch_run import Outcome, noted, opened
from pipeline.input_files import input_files, print_left_out
from pipeline.narrowing import paced
from pipeline.wrong_use import WrongUse
from transforms.answers import NOT_CALLED
from transforms.filesystem import is_remote
from transforms.models import Configuration
from transforms.units import Tables

_REASONS_SHOWN = 10


def run(configuration: Configuration, arguments: argparse.Namespace, options: list[str]) -> int:
    """Scores every event below `--input` and prints what came of it. Gives 1 when some elements failed or are unfinished."""
    flink_batches.check(options)
    found = input_files(configuration, arguments)
    files = found.files
    configuration = paced(configuration, arguments.max_rate)
    tables = _tables(configuration, arguments)
    _check_output(tables, arguments)
    missing = Missing.read(arguments.missing) if arguments.missing else None
    configuration = bounded_run.without_stopped(configuration)
    work = f"{len(files)} file{'s' if len(files) > 1 else ''} from {arguments.input}, scored by {configuration.lift_wing.url}"
    print_left_out(found)
    if arguments.dry_run:
        print(work)
        done = noted(tables, overwrite=arguments.overwrite, missing=missing).done(configuration) if arguments.resume or missing else None
        return dry_run.run(configuration, files, done, arguments.form)
    stopped = _stop_on_signals()
    try:
        with opened(tables, resume=arguments.resume, overwrite=arguments.overwrite, missing=missing) as batch:
            print(work, flush=True)
            with flink_batches.on_flink_if_asked(options, tables.working / "flink") as options_of_runner:
                outcome = batch.score(configuration, files, options_of_runner)
    except BaseException as error:
        if stopped:
            print(f"stopped; what lies in {arguments.output} is whole partitions, and --resume goes on from here", file=sys.stderr)
            return 128 + stopped[0]
        if f"[Errno {errno.ENOSPC}]" in str(error):
            print(f"the disk of {arguments.output} is full; make room, and --resume goes on from here", file=sys.stderr)
            return 1
        raise
    code = _report(configuration, outcome, arguments.output)
    print(f"\nreport: {report.write(configuration, tables, outcome)}")
    return code or int(found.may_miss_events)


def _tables(configuration: Configuration, arguments: argparse.Namespace) -> Tables:
    root = arguments.output.resolve()
    streams = {model.name: model.stream for model in configuration.models.values()}
    return Tables(root, arguments.form, streams, configuration.failure_stream)


def _check_output(tables: Tables, arguments: argparse.Namespace) -> None:
    output = arguments.output
    if not is_remote(arguments.input) and tables.root == Path(arguments.input).resolve():
        raise WrongUse(f"--output: {output} is the input; name another directory")
    if output.exists() and not output.is_dir():
        raise WrongUse(f"--output: {output} is no directory")
    if not (arguments.resume or arguments.overwrite):
        if tables.working.is_dir():
            raise WrongUse(f"--output: a run to {output} broke off; say --resume to go on with it, or --overwrite to begin anew")
        if output.is_dir() and any(output.iterdir()) and not arguments.missing:
            ways = "name another directory, or say --resume to add what is missing, or --overwrite to replace the partitions it has"
            raise WrongUse(f"--output: {output} is not empty; {ways}")


def _stop_on_signals() -> list[int]:
    """Lets SIGTERM end a run as Ctrl-C does, and tells which came: Beam passes both on as errors of the step that ran just then."""
    received: list[int] = []

    def stop(number: int, frame: object) -> None:
        received.append(number)
        logging.disable()  # Beam's account of where it was
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return received


def _report(configuration: Configuration, outcome: Outcome, output: Path) -> int:
    counters = outcome.counters
    print(f"\n{counters['ReadEvents/events']} events, {counters['SelectModels/dropped_no_model']} of them without a model")
    if done := counters["SelectModels/done_before"]:
        print(f"{done} scores were there already")
    bounded_run.print_models(configuration, counters, "dataset", lambda model: output / schemas.table_name(model.stream))
    if outcome.failures:
        print(f"\n{outcome.failures.total()} failures, with their originals in {output / schemas.table_name(configuration.failure_stream)}")
        bounded_run.print_reasons(outcome.failures, _REASONS_SHOWN)
    if outcome.unfinished:
        _print_unfinished(outcome)
    return 1 if outcome.failures or outcome.unfinished else 0


def _print_unfinished(outcome: Outcome) -> None:
    print(f"\n{len(outcome.unfinished)} partitions are not written, as not all their scores could be had; --resume goes on with them:")
    alike: dict[tuple[str, str], list[str]] = {}
    for (model, partition), reasons in outcome.unfinished.items():
        reason = reasons.most_common(1)[0][0].rpartition(NOT_CALLED)[2]
        alike.setdefault((model, reason), []).append(partition)
    for (model, reason), partitions in alike.items():
        print(f"{len(partitions):>8}  {model}: {reason} ({partitions[0]}{', …' if len(partitions) > 1 else ''})")
