"""The processes of a Flink cluster on this machine: a JobManager, TaskManagers and the pool of Python
workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.flink import settings as flink_settings
from pipeline.flink.job_server import JavaProgram, JavaServer, WorkerPool
from pipeline.options import option
from pipeline.process.child_process import Server, free_port

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


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Where a cluster listens, and how much it runs at once."""

    folder: Path = option(
        "--folder",
        type=Path,
        default=Path("flink-cluster"),
        metavar="DIR",
        help="logs and settings (default: flink-cluster)",
    )
    port: int = option(
        "--port",
        type=int,
        default=8081,
        help="of the JobManager, for stream --flink and for browsers; 0: any (default: 8081)",
    )
    workers_port: int = option(
        "--workers-port",
        type=int,
        default=50000,
        metavar="PORT",
        help="of the Python worker pool; 0: any (default: 50000)",
    )
    task_managers: int = option(
        "--task-managers",
        type=int,
        default=1,
        metavar="N",
        help="each has a Python worker process for each job (default: 1)",
    )
    slots: int = option("--slots", type=int, default=2, metavar="N", help="of each TaskManager (default: 2)")
    metrics_port: int = option(
        "--metrics-port",
        type=int,
        default=9249,
        metavar="PORT",
        help="where Prometheus finds the JobManager, and after it the TaskManagers; 0: nowhere (default: "
        "9249, Flink's own)",
    )

    def ports(self) -> Iterator[tuple[str, int]]:
        """Yields each port that the cluster listens on, after the option that names it."""
        yield "--port", self.port
        yield "--workers-port", self.workers_port
        if self.metrics_port:
            for number in range(self.task_managers + 1):
                yield "--metrics-port", self.metrics_port + number

    def metrics(self, number: int) -> dict[str, str]:
        """Returns Flink's settings for the metrics of a TaskManager, or with 0 of the JobManager."""
        return flink_settings.of_metrics(self.metrics_port + number if self.metrics_port else None)


def cluster(options: ClusterOptions) -> list[Server]:
    """Returns the servers of a cluster, to be started in this order. No port is 0 but that for metrics."""
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    taken = {port for _, port in options.ports()}
    settings = _settings(options.port, _another_port(taken), options.slots)
    return [
        _job_manager(folder, options.port, {**settings, **options.metrics(0)}),
        WorkerPool(folder, options.workers_port),
        *(
            _TaskManager(folder, number, {**settings, **options.metrics(number)}, taken)
            for number in range(1, options.task_managers + 1)
        ),
    ]


def _another_port(taken: set[int]) -> int:
    """Returns a free port that no other process of the cluster has or is about to take, and notes it in
    `taken`."""
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
    program = JavaProgram(main, heap_mb=512, jvm_options=["-XX:TieredStopAtLevel=1"])
    return JavaServer("the JobManager", program, port, folder / "job-manager.log")


class _TaskManager(JavaServer):
    """Listens on another port with each start: a JobManager that still tries to reach one that died may never
    let a successor at its address in."""

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
        program = JavaProgram(main, _TASK_HEAP_MB + _FRAMEWORK_HEAP_MB)
        super().__init__(f"TaskManager {number}", program, 0, folder / f"task-manager-{number}.log")

    def start(self) -> None:
        port = _another_port(self._taken)
        self.address = f"127.0.0.1:{port}"
        flink_settings.write(self._folder, {**self._settings, "taskmanager.rpc.port": str(port)})
        super().start()
