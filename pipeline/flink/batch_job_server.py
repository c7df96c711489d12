"""Flink for a batch run, where Beam's options ask for it: `--runner=FlinkRunner`, with
`--flink_master=HOST:PORT` for a cluster, whose Python workers `--environment_config=HOST:PORT` names as its
TaskManagers see them. Without a master, Flink is inside this command."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.config import beam_options
from pipeline.flink import settings as flink_settings
from pipeline.flink.job_server import JobServer, WorkerPool
from pipeline.process.child_process import Server, free_port, started

_WORKERS = "127.0.0.1:50000"


def check(options: Sequence[str]) -> None:
    """Raises UsageError for an option that nobody knows; which ones Flink's runner knows is told by its job
    server alone."""
    if _asked(options).runner != "FlinkRunner":
        beam_options.check(options)


@contextmanager
def on_flink_if_asked(options: Sequence[str], folder: Path) -> Iterator[Sequence[str]]:
    """The options for the job server that runs while the context is open, with its logs in `folder`; the
    given ones where they ask for no Flink. Raises UsageError for an option that nobody knows, and what
    starting servers raises."""
    asked = _asked(options)
    if asked.runner != "FlinkRunner":
        yield options
        return
    folder.mkdir(exist_ok=True)
    servers: list[Server]
    if asked.flink_master:
        workers = asked.environment_config
        servers = [server := JobServer(folder, {}, asked.flink_master)]
    else:
        server, pool = (
            JobServer(folder, flink_settings.of_job_manager(f"127.0.0.1:{free_port()}")),
            WorkerPool(folder),
        )
        servers, workers = [server, pool], pool.address
    with started(*servers):
        beam_options.check(asked.others, also_known=beam_options.of_job_server(server.address))
        yield [*flink_settings.beam_options_of_batch(server.address, workers), *asked.others]


def _asked(options: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runner")
    parser.add_argument("--flink_master")
    parser.add_argument("--environment_config", default=_WORKERS)
    asked, others = parser.parse_known_args(list(options))
    asked.others = others
    return asked
