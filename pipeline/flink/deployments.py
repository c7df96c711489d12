"""The two places where a job of `stream` can run: a Flink embedded in the job server, and a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.flink import flink_address
from pipeline.flink import settings as flink_settings
from pipeline.flink.job import FlinkJob, jobs_called
from pipeline.flink.job_server import JobServer, WorkerPool
from pipeline.flink.rest import FlinkRest
from pipeline.flink.snapshots import Snapshots
from pipeline.flink.submission import JobSpec, Submission
from pipeline.process.child_process import Server, free_port, started

_PATIENCE_S = 120  # with a job that is there already, until it has a savepoint


class Run(NamedTuple):
    """A job that Flink has taken, the servers of ours that it cannot do without, and the snapshot that it
    goes on from."""

    job: FlinkJob
    needs: Sequence[Server]
    snapshot: Path | None = None


@dataclass(frozen=True)
class EmbeddedFlink:
    """A Flink that lives and dies with this process, with its JobManager at `port` of this machine, unless
    somebody else has taken that meanwhile."""

    state: Path
    port: int
    metrics_port: int | None
    snapshots: Snapshots

    @contextmanager
    def running(self, spec: JobSpec) -> Iterator[Run]:
        """Runs the job from the newest snapshot on. Raises JobLostError, and what starting servers
        raises."""
        snapshots = self.snapshots
        rest = FlinkRest(f"127.0.0.1:{free_port(self.port)}")
        settings = {
            **flink_settings.of_job(snapshots),
            **flink_settings.of_job_manager(rest.address),
            **flink_settings.of_metrics(self.metrics_port),
        }
        if newest := snapshots.newest():
            # an embedded Flink passes over Beam's --savepoint_path
            settings["execution.savepoint.path"] = newest.as_uri()
            # of steps that are gone; tests/unit/test_snapshot_contents.py holds those that stay
            settings["execution.savepoint.ignore-unclaimed-state"] = "true"
        server, workers = JobServer(self.state, settings), WorkerPool(self.state)
        with started(server, workers):
            job = Submission(spec, server, rest, newest).submit(workers.address)
            flink_address.write(self.state, rest.address)
            yield Run(job, [server, workers], newest)


@dataclass(frozen=True)
class FlinkCluster:
    """A cluster with its JobManager at `address` and a pool of Python workers at `workers` as its
    TaskManagers see it, both HOST:PORT.

    Its jobs go on without this process, and whoever comes next takes them over. `state` is a folder that the
    cluster has too.
    """

    state: Path
    address: str
    workers: str
    snapshots: Snapshots

    @contextmanager
    def running(self, spec: JobSpec) -> Iterator[Run]:
        """Runs the job from the newest snapshot on, and first stops one of that name that is there already.
        Raises JobLostError, UnreachableError, and what starting servers raises."""
        snapshots, rest = self.snapshots, FlinkRest(self.address)
        for left in jobs_called(rest, spec.name):
            left.end(snapshots.savepoints, _PATIENCE_S)
        server = JobServer(self.state, flink_settings.of_job(snapshots), self.address)
        with started(server):
            from_newest = []
            if newest := snapshots.newest():
                from_newest.append(f"--savepoint_path={newest.as_uri()}")
                # of steps that are gone; tests/unit/test_snapshot_contents.py holds those that stay
                from_newest.append("--allow_non_restored_state")
            job = Submission(spec, server, rest, newest).submit(self.workers, *from_newest)
        flink_address.write(self.state, self.address)
        yield Run(job, [], newest)
