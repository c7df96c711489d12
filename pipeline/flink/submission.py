"""How a job gets to Flink: by Beam's job server, which hands it to a JobManager or writes it as a jar."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from pipeline.config import beam_options
from pipeline.flink import settings as flink_settings
from pipeline.flink.job import FlinkJob, jobs_called
from pipeline.flink.job_server import JobServer
from pipeline.flink.rest import FlinkRest, UnreachableError
from pipeline.process.child_process import started
from pipeline.process.signals import end_if_told_to_stop

_PAUSE_S, _PATIENCE_S = 0.2, 120

Build = Callable[[PipelineOptions], beam.Pipeline]


class JobLostError(Exception):
    """The job, or a process that it needs, is gone; another start may help. Its message is one line."""


class BadSnapshotError(JobLostError):
    """Flink cannot restore a snapshot; an earlier one may do."""

    def __init__(self, snapshot: Path, why: str) -> None:
        super().__init__(f"{snapshot} cannot be restored: {why}")
        self.snapshot, self.why = snapshot, why


@dataclass(frozen=True)
class JobSpec:
    """A job as it is handed to Flink: its name, what builds its graph, and Beam's options of the command
    line."""

    name: str
    build: Build
    options: Sequence[str]

    def submit(self, server: JobServer, workers: str, *more_options: str) -> PipelineResult:
        """Hands the job to a job server. `workers`: HOST:PORT of the pool of Python workers, as TaskManagers
        see it. Raises UsageError for an option that nobody knows, and what Beam's client raises."""
        of_flink = flink_settings.beam_options(server.address, workers, self.name)
        options = [*of_flink, *more_options, *self.options]
        beam_options.check(options, also_known=beam_options.of_job_server(server.address))
        return self.build(PipelineOptions(options)).run()


class Submission(NamedTuple):
    """A job on its way through a job server to a JobManager, to go on from a snapshot where there is one."""

    spec: JobSpec
    server: JobServer
    rest: FlinkRest
    snapshot: Path | None

    def submit(self, workers: str, *more_options: str) -> FlinkJob:
        """Returns the job once the JobManager has it. Raises JobLostError."""
        try:
            result = self.spec.submit(self.server, workers, *more_options)
        except (grpc.RpcError, RuntimeError) as error:
            raise JobLostError(
                f"the Flink job server did not take the job: {_in_short(error)}; why is at the end of "
                f"{self.server.log}"
            ) from error
        return self._wait_until_taken(result)

    def _wait_until_taken(self, result: PipelineResult) -> FlinkJob:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            end_if_told_to_stop()
            if not self.server.is_running:
                raise JobLostError(f"{self.server.name} died")
            if PipelineState.is_terminal(result.state):
                raise self._refusal(_last_words(result))
            if jobs := _jobs(self.rest, self.spec.name):
                return jobs[0]
            time.sleep(_PAUSE_S)
        raise JobLostError(f"Flink did not take the job within {_PATIENCE_S} s")

    def _refusal(self, why: str) -> JobLostError:
        if self.snapshot:
            return BadSnapshotError(self.snapshot, why)
        return JobLostError(f"Flink did not take the job: {why}")


def write_job(file: Path, state: Path, workers: str, spec: JobSpec) -> None:
    """Writes the job as a jar for a cluster that runs nothing else, with
    org.apache.beam.runners.flink.FlinkPipelineRunner as its main class. Raises JobLostError, and what
    starting servers raises."""
    server = JobServer(state, {}, master="[auto]")
    with started(server):
        result = spec.submit(server, workers, f"--output_executable_path={file}")
        if result.wait_until_finish() != PipelineState.DONE:
            raise JobLostError(
                f"the Flink job server did not write the jar; why is at the end of {server.log}"
            )


def _jobs(rest: FlinkRest, name: str) -> Sequence[FlinkJob]:
    try:
        return jobs_called(rest, name)
    except UnreachableError:  # an embedded one is not up at once
        return ()


def _in_short(error: grpc.RpcError | RuntimeError) -> str:
    return " ".join(str(error.details() if isinstance(error, grpc.Call) else error).split())


def _last_words(result: PipelineResult) -> str:
    try:
        result.wait_until_finish()
    except RuntimeError as error:
        return str(error).strip().splitlines()[-1]
    return str(result.state)
