"""A real Flink cluster on this machine, for tests, benchmarks and production on one machine: `python -m
runners.local_flink`.

JobManager, TaskManagers and the pool of Python workers are processes of their own, and one that dies is
replaced.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from pipeline.flink import settings as flink_settings
from pipeline.flink.job_server import OfTheJar, WorkerPool
from pipeline.flink.rest import FlinkRest, UnreachableError
from pipeline.process.child_process import Server, ServerError, check_free, free_port, started
from pipeline.process.signals import stop_on_signals

_LOOK_S = 0.5
_RUNTIME = "org.apache.flink.runtime"

# What Flink's shell scripts work out of one total. RocksDB lives in the managed part.
_TASK_HEAP_MB, _FRAMEWORK_HEAP_MB = 640, 128
_TASK_MANAGER_MEMORY = {
    "task.heap.size": f"{_TASK_HEAP_MB}m",
    "task.off-heap.size": "0",
    "managed.size": "256m",
    "network.min": "64m",
    "network.max": "64m",
    "framework.heap.size": f"{_FRAMEWORK_HEAP_MB}m",
    "framework.off-heap.size": "128m",
    "jvm-metaspace.size": "256m",
    "jvm-overhead.min": "192m",
    "jvm-overhead.max": "192m",
}


def cluster(
    folder: Path, port: int, workers_port: int, task_managers: int, slots: int, metrics_port: int | None
) -> list[Server]:
    """JobManager, Python worker pool and TaskManagers with their logs in `folder`. TaskManagers have their
    metrics at the ports after the JobManager's."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = {port, workers_port, *range(metrics_port or 0, (metrics_port or 0) + task_managers + 1)}
    settings = _settings(port, _another_port(taken), slots)
    servers: list[Server] = [
        _job_manager(folder, port, {**settings, **flink_settings.of_metrics(metrics_port)}),
        WorkerPool(folder, workers_port),
    ]
    for number in range(1, task_managers + 1):
        of_metrics = flink_settings.of_metrics(metrics_port and metrics_port + number)
        servers.append(_TaskManager(folder, number, {**settings, **of_metrics}, taken))
    return servers


def _another_port(taken: set[int]) -> int:
    """A free one that no other process of the cluster has, or is about to take."""
    while (port := free_port()) in taken:
        pass
    taken.add(port)
    return port


def _settings(port: int, rpc_port: int, slots: int) -> dict[str, str]:
    return {
        **flink_settings.of_job_manager(f"127.0.0.1:{port}"),
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": str(rpc_port),
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.numberOfTaskSlots": str(slots),
        # of jobs that say nothing of it themselves, as those of `regenerate`: a worker may die
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "3",
        "restart-strategy.fixed-delay.delay": "5 s",
        "heartbeat.interval": "2000",  # ms; how soon a TaskManager finds the JobManager's successor
        "heartbeat.timeout": "10000",
        "classloader.resolve-order": "parent-first",  # jobs bring the jar that is here already
    }


def _job_manager(folder: Path, port: int, settings: Mapping[str, str]) -> Server:
    main = [
        f"{_RUNTIME}.entrypoint.StandaloneSessionClusterEntrypoint",
        "--configDir",
        flink_settings.write(folder / "job-manager", settings),
    ]
    # it has little to do, and a thread that compiles it well takes more CPU than that
    quickly = ["-XX:TieredStopAtLevel=1"]
    return OfTheJar("the JobManager", 512, main, port, folder / "job-manager.log", quickly)


class _TaskManager(OfTheJar):
    """At another port with each start: a JobManager that still tries to reach one that died may never let a
    successor at its address in."""

    def __init__(self, folder: Path, number: int, settings: Mapping[str, str], taken: set[int]) -> None:
        self._taken = taken
        self._folder, self._settings = folder / f"task-manager-{number}", settings
        sizes = {
            "taskmanager.cpu.cores": "1",
            **{f"taskmanager.memory.{part}": size for part, size in _TASK_MANAGER_MEMORY.items()},
        }
        main = [f"{_RUNTIME}.taskexecutor.TaskManagerRunner", "--configDir", str(self._folder)]
        for setting, size in sizes.items():
            main += ["-D", f"{setting}={size}"]
        super().__init__(
            f"TaskManager {number}",
            _TASK_HEAP_MB + _FRAMEWORK_HEAP_MB,
            main,
            0,
            folder / f"task-manager-{number}.log",
        )

    def start(self) -> None:
        port = _another_port(self._taken)
        self.address = f"127.0.0.1:{port}"
        flink_settings.write(self._folder, {**self._settings, "taskmanager.rpc.port": str(port)})
        super().start()


def keep_up(servers: list[Server], stop: threading.Event, is_up: Callable[[], bool], ready: str) -> None:
    """Replaces each server that dies, until it is told to stop, and prints `ready` the first time that the
    cluster is up."""
    told = False
    while not stop.wait(_LOOK_S):
        for server in servers:
            if not server.is_running:
                print(f"{server.name} died; starting another; {server.said_last}", flush=True)
                server.start()
        if not told and (told := is_up()):
            print(ready, flush=True)


def has_task_managers(rest: FlinkRest, wanted: int) -> bool:
    """Whether a job would find their slots."""
    with suppress(UnreachableError):
        return rest.task_managers() >= wanted
    return False


def check_ports(arguments: argparse.Namespace) -> None:
    """Raises ServerError for one that is taken."""
    metrics = (
        range(arguments.metrics_port, arguments.metrics_port + arguments.task_managers + 1)
        if arguments.metrics_port
        else ()
    )
    for option, port in [
        ("--port", arguments.port),
        ("--workers-port", arguments.workers_port),
        *(("--metrics-port", port) for port in metrics),
    ]:
        check_free(option, port)


def main() -> int:
    arguments = _arguments()
    stop = stop_on_signals()
    try:
        check_ports(arguments)
        port, workers_port = arguments.port or free_port(), arguments.workers_port or free_port()
        servers = cluster(
            arguments.folder.resolve(),
            port,
            workers_port,
            arguments.task_managers,
            arguments.slots,
            arguments.metrics_port or None,
        )
        with started(*servers):
            is_up = partial(has_task_managers, FlinkRest(f"127.0.0.1:{port}"), arguments.task_managers)
            ready = (
                f"Flink at 127.0.0.1:{port}, Python workers at 127.0.0.1:{workers_port}; logs in "
                f"{arguments.folder.resolve()}"
            )
            keep_up(servers, stop, is_up, ready)
    except (ServerError, FileNotFoundError) as error:
        print(f"local_flink: {error}", file=sys.stderr)
        return 2
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m runners.local_flink",
        description="A Flink cluster on this machine; each process that dies is replaced.",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("flink-cluster"),
        metavar="DIR",
        help="logs and settings (default: flink-cluster)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8081,
        help="of the JobManager, for stream --flink and for browsers; 0: any (default: 8081)",
    )
    parser.add_argument(
        "--workers-port",
        type=int,
        default=50000,
        metavar="PORT",
        help="of the Python worker pool; 0: any (default: 50000)",
    )
    parser.add_argument(
        "--task-managers",
        type=int,
        default=1,
        metavar="N",
        help="each has a Python worker process for each job (default: 1)",
    )
    parser.add_argument("--slots", type=int, default=2, metavar="N", help="of each TaskManager (default: 2)")
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=9249,
        metavar="PORT",
        help="where Prometheus finds the JobManager, and after it the TaskManagers; 0: nowhere (default: "
        "9249, Flink's own)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
