"""The command `regenerate`: files of events in, one dataset of scores per model out, on the DirectRunner."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import apache_beam as beam

import schemas
from pipeline import beam_options, bounded_run
from pipeline.graph import score_revisions
from pipeline.wrong_use import WrongUse
from transforms.failures import alike
from transforms.file_sink import HiveFiles, MoveIntoPlace
from transforms.file_source import Files, InputFile, find_files, read_file
from transforms.models import Configuration
from transforms.read_events import parse
from transforms.wait_in_bundle import InBundle

_REASONS_SHOWN = 10


def run(configuration: Configuration, arguments: argparse.Namespace, options: list[str]) -> int:
    """Scores every event below `--input` and prints what came of it. Gives 1 when some elements failed."""
    beam_options.check(options)
    files = _input_files(arguments.input, configuration)
    _check_output(arguments.output, arguments.input, arguments.overwrite)
    configuration = bounded_run.without_stopped(configuration)
    print(f"{len(files)} file{'s' if len(files) > 1 else ''} from {arguments.input}, scored by {configuration.lift_wing.url}", flush=True)
    stopped = _stop_on_signals()
    try:
        counters, partitions = _score(configuration, files, arguments.output, arguments.form, options)
    except BaseException:
        if not stopped:
            raise
        print(f"stopped; what lies in {arguments.output} is whole partitions", file=sys.stderr)
        return 128 + stopped[0]
    return _report(configuration, counters, partitions, arguments.output)


def _input_files(path: Path, configuration: Configuration) -> Sequence[InputFile]:
    try:
        return find_files(path, configuration.datacenters[0])
    except FileNotFoundError as error:
        raise WrongUse(f"--input: {error}") from error


def _check_output(output: Path, source: Path, overwrite: bool) -> None:
    if output.resolve() == source.resolve():
        raise WrongUse(f"--output: {output} is the input; name another directory")
    if output.exists() and not output.is_dir():
        raise WrongUse(f"--output: {output} is no directory")
    if output.is_dir() and any(output.iterdir()) and not overwrite:
        raise WrongUse(f"--output: {output} is not empty; name another directory, or say --overwrite to replace the partitions it has")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongUse(f"--output: {output} cannot be made: {error.strerror}") from error


def _score(configuration: Configuration, files: Sequence[InputFile], output: Path, form: str, options: list[str]) -> tuple[Counter[str], list[str]]:
    """Runs the graph; gives its counters by step and name, and the partitions that it wrote, as paths below the output."""
    root = output.resolve()
    staging = root.with_name(f".{root.name}.staging")  # beside the output: a rename must not cross file systems
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        pipeline = bounded_run.new_pipeline(options)
        written = score_revisions(pipeline, configuration, Files(files), HiveFiles(staging, form), InBundle())
        moved = tuple(written) | "MoveIntoPlace" >> MoveIntoPlace(staging, root)
        _ = moved | beam.combiners.ToList() | "NotePartitions" >> beam.Map(_note, staging / "partitions.json")
        counters = bounded_run.run(pipeline)
        partitions = json.loads((staging / "partitions.json").read_text())
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return counters, partitions


def _note(partitions: list[str], file: Path) -> None:
    file.write_text(json.dumps(partitions))


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


def _report(configuration: Configuration, counters: Mapping[str, int], partitions: Sequence[str], output: Path) -> int:
    print(f"\n{counters.get('ReadEvents/events', 0)} events, {counters.get('SelectModels/dropped_no_model', 0)} of them without a model")
    bounded_run.print_models(configuration, counters, "dataset", lambda model: output / schemas.table_name(model.stream))
    table = schemas.table_name(configuration.failure_stream)
    failed = [output / partition for partition in partitions if partition.startswith(f"{table}/")]
    if failed:
        _report_failures(failed, output / table)
    return 1 if failed else 0


def _report_failures(partitions: Sequence[Path], table: Path) -> None:
    reasons: Counter[str] = Counter()
    for partition in partitions:
        for file in find_files(partition, ""):
            for line in read_file(file):
                event = parse(line.data) if isinstance(line.data, bytes) else line.data
                reasons[alike(event)] += 1
    print(f"\n{reasons.total()} failures, with their originals in {table}")
    bounded_run.print_reasons(reasons, _REASONS_SHOWN)
