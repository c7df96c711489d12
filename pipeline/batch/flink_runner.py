"""Flink for a batch run, where Beam's options ask for it: `--runner=FlinkRunner`, with
`--flink_master=HOST:PORT` for a cluster, whose Python workers `--environment_config=HOST:PORT` names as its
TaskManagers see them. Without a master, Flink is inside this command."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.batch.runner import Runner
from pipeline.config import beam_options
from pipeline.flink import settings as flink_settings
from pipeline.flink.job import jobs_called
from pipeline.flink.job_server import JobServer, WorkerPool
from pipeline.flink.rest import FlinkRest, UnreachableError
from pipeline.options import add_options, option, options_in
from pipeline.process.child_process import Server, free_port, started
from pipeline.usage_error import UsageError

_WORKERS = "127.0.0.1:50000"
_CANCELLED_WITHIN_S = 30.0


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Beam's options for its runner; None for one that is not given."""

    runner: str | None = option("--runner")
    flink_master: str | None = option("--flink_master")
    environment_config: str = option("--environment_config", default=_WORKERS)
    parallelism: str = option("--parallelism", default="1")
    job_name: str | None = option("--job_name")


def runner_of(options: Sequence[str]) -> Runner:
    """Returns the runner that the options ask for. Raises UsageError for an option that nobody knows; which
    ones Flink's runner knows is told by its job server alone."""
    asked, _ = _asked(options)
    if asked.runner != "FlinkRunner":
        beam_options.check(options)
        return Runner(options)
    if not asked.parallelism.isdecimal() or int(asked.parallelism) == 0:
        raise UsageError(f"--parallelism: expected a number of workers above 0, got {asked.parallelism!r}")
    return Runner(options, int(asked.parallelism), is_cluster=True)


@contextmanager
def started_if_asked(runner: Runner, output: str, folder: Path) -> Iterator[Runner]:
    """Yields the runner with the options for a job server that runs while the context is open, with its logs
    in `folder`; the given one where it is no Flink. Cancels a job that writes to `output` and is not over, at
    the end and, as a command may have been killed, at the start. Raises UsageError for an option that nobody
    knows, and what starting servers raises."""
    asked, others = _asked(runner.options)
    job_name = asked.job_name or f"regenerate-{re.sub(r'[^a-zA-Z0-9.=]+', '-', output)}"
    if not runner.is_cluster:
        yield runner
        return
    folder.mkdir(exist_ok=True)
    servers: list[Server]
    if asked.flink_master:
        workers = asked.environment_config
        servers = [server := JobServer(folder, {}, asked.flink_master)]
    else:
        settings = flink_settings.of_job_manager(f"127.0.0.1:{free_port()}")
        server, pool = JobServer(folder, settings), WorkerPool(folder)
        servers, workers = [server, pool], pool.address
    with _without_log(), started(*servers):
        beam_options.check(others, also_known=beam_options.of_job_server(server.address))
        of_job = [f"--parallelism={runner.workers}", f"--job_name={job_name}"]
        of_flink = flink_settings.beam_options_of_batch(server.address, workers)
        with _alone(asked.flink_master, job_name):
            yield replace(runner, options=[*of_flink, *of_job, *others])


@contextmanager
def _without_log() -> Iterator[None]:
    """Silences logs while the context is open: Beam logs what ends a job, which comes out of the run, too."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.setLevel(level)


@contextmanager
def _alone(master: str | None, job_name: str) -> Iterator[None]:
    """Cancels jobs of that name before and after, on a cluster that outlives this command."""
    if not master:  # a job ends with the Flink of this command
        yield
        return
    _cancel(master, job_name)
    try:
        yield
    finally:
        _cancel(master, job_name)


def _cancel(master: str, job_name: str) -> None:
    """Ends a job that goes on without the command that submitted it."""
    try:
        for job in jobs_called(FlinkRest(master), job_name):
            job.cancel(_CANCELLED_WITHIN_S)
    except UnreachableError as error:
        print(f"{error}: whether it goes on with {job_name} is not known; cancel it there", file=sys.stderr)


def _asked(options: Sequence[str]) -> tuple[_Asked, Sequence[str]]:
    """Returns what the options ask of a runner, and the others. Raises UsageError."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_options(parser, _Asked)
    try:
        parsed, others = parser.parse_known_args(list(options))
    except argparse.ArgumentError as error:
        raise UsageError(f"{error.argument_name}: {error.message}") from error
    return options_in(parsed, _Asked), others
