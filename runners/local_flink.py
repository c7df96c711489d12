"""A real Flink cluster on this machine, for tests, benchmarks and production on one machine: `python -m
runners.local_flink`.

JobManager, TaskManagers and the pool of Python workers are processes of their own, and one that dies is
replaced.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from pipeline.flink.rest import FlinkRest, UnreachableError
from pipeline.process.child_process import Server, ServerError, check_free, free_port, started
from pipeline.process.signals import stop_on_signals
from runners.command_line import parse
from runners.flink_cluster import ClusterOptions, cluster

_LOOK_S = 0.5


def keep_up(servers: list[Server], stop: threading.Event, is_up: Callable[[], bool], ready: str) -> None:
    """Replaces each server that dies, until it is told to stop, and prints `ready` the first time that the
    cluster is up."""
    told = False
    while not stop.wait(_LOOK_S):
        for server in servers:
            if not server.is_running:
                print(f"{server.name} died; starting another; {server.last_output}", flush=True)
                server.start()
        if not told and (told := is_up()):
            print(ready, flush=True)


def has_task_managers(rest: FlinkRest, wanted: int) -> bool:
    """Returns whether so many are there that a job would find their slots."""
    with suppress(UnreachableError):
        return rest.task_managers() >= wanted
    return False


def main() -> int:
    options = parse(
        ClusterOptions, "local_flink", "A Flink cluster on this machine; each process that dies is replaced."
    )
    stop = stop_on_signals()
    try:
        for option, port in options.ports():
            check_free(option, port)
        _run(
            replace(
                options,
                folder=options.folder.resolve(),
                port=options.port or free_port(),
                workers_port=options.workers_port or free_port(),
            ),
            stop,
        )
    except (ServerError, FileNotFoundError) as error:
        print(f"local_flink: {error}", file=sys.stderr)
        return 2
    return 0


def _run(options: ClusterOptions, stop: threading.Event) -> None:
    """Runs a cluster until it is told to stop."""
    servers = cluster(options)
    with started(*servers):
        is_up = partial(has_task_managers, FlinkRest(f"127.0.0.1:{options.port}"), options.task_managers)
        ready = (
            f"Flink at 127.0.0.1:{options.port}, Python workers at 127.0.0.1:{options.workers_port}; logs in "
            f"{options.folder}"
        )
        keep_up(servers, stop, is_up, ready)


if __name__ == "__main__":
    sys.exit(main())
