"""What `stream` does all day: watches its job, and starts it again when it is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from pipeline.console.command_log import say, warn
from pipeline.flink.deployments import Run
from pipeline.flink.rest import UnreachableError
from pipeline.flink.snapshots import Snapshots
from pipeline.flink.submission import BadSnapshotError, JobLostError
from pipeline.process.child_process import ServerError
from pipeline.usage_error import UsageError

_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_RAN_WELL_S = 300  # a run of that length is no part of a series of failures
_GIVE_UP_S = 60  # on a process of ours that lives and does not answer
_RESTORES = 3  # that end at the state, until it is given up
_STOPPING_S = 30  # what waits for a savepoint too long is killed by whoever told us to stop


def supervise(
    start: Callable[[], AbstractContextManager[Run]], stop: threading.Event, snapshots: Snapshots, ready: str
) -> int:
    """Starts the job again and again until it is told to stop, and then ends it with a savepoint. Says
    `ready` when the job runs for the first time.

    Returns 0; 1 when Flink does not take the job the first time, or somebody else ends it. Raises UsageError
    when a server does not start the first time.
    """
    has_run, pause = False, _Pause()
    while True:
        began = time.monotonic()
        try:
            with start() as run:
                if not has_run:
                    say(ready)
                has_run = True
                return _watched(run, stop, snapshots)
        except BadSnapshotError as error:
            if _fall_back(error, snapshots):
                continue
            trouble: Exception = error
        except (ServerError, OSError, UnreachableError, JobLostError) as error:
            trouble = error
        if not has_run:
            return _give_up(trouble)
        seconds = pause.after(time.monotonic() - began)
        warn(f"{trouble}; starting again from the last checkpoint in {seconds:.0f} s")
        if stop.wait(seconds):
            return 0


def _fall_back(error: BadSnapshotError, snapshots: Snapshots) -> bool:
    """Passes over a snapshot that cannot be restored. Returns whether there is one before it; where there is
    none, all are tried again at the next start."""
    snapshots.mark_failed(error.snapshot, error.why)
    if snapshots.newest():
        warn(f"{error}; going on from the one before it")
        return True
    warn(f"{error}; none is left to go on from, and all are where they were")
    snapshots.forget_failures()
    return False


def _give_up(trouble: Exception) -> int:
    """Ends a command whose job has never run. Raises UsageError when a server did not start."""
    if not isinstance(trouble, JobLostError):
        raise UsageError(str(trouble)) from trouble
    if not isinstance(trouble, BadSnapshotError):  # which was told already
        warn(str(trouble))
    return 1


class _Pause:
    """How long to wait before a job is started again: twice as long after each failure of a series."""

    def __init__(self) -> None:
        self._next_s = _SHORTEST_PAUSE_S

    def after(self, ran_s: float) -> float:
        """Returns the seconds to wait after a run of that length, and counts it."""
        seconds = _SHORTEST_PAUSE_S if ran_s > _RAN_WELL_S else self._next_s
        self._next_s = min(_LONGEST_PAUSE_S, seconds * 2)
        return seconds


def _watched(run: Run, stop: threading.Event, snapshots: Snapshots) -> int:
    """Watches until it is told to stop. Raises JobLostError."""
    monitor = JobMonitor(run, snapshots)
    while not stop.wait(1):
        for server in run.needs:
            if not server.is_running:
                raise JobLostError(f"{server.name} died")
        if monitor.check_ended():
            return 1
        monitor.settle()
    say("stopping with a savepoint")
    say(f"stopped {run.job.end(snapshots.savepoints, _STOPPING_S)}")
    return 0


class JobMonitor:
    """Looks after a job, and says each trouble once."""

    def __init__(self, run: Run, snapshots: Snapshots) -> None:
        self._run, self._snapshots = run, snapshots
        self._settled = False
        self._answered = time.monotonic()
        self._said = ""

    def check_ended(self) -> bool:
        """Returns whether somebody has ended the job at Flink. Raises JobLostError when it is gone
        otherwise."""
        try:
            state = self._run.job.state()
            why = self._run.job.why() if state in ("RESTARTING", "FAILED") else ""
        except UnreachableError as error:
            if self._run.needs and time.monotonic() - self._answered > _GIVE_UP_S:
                raise self._gone(error) from error
            if not self._run.needs:
                self._say_once(f"{error}; waiting for it")
            return False
        self._answered = time.monotonic()
        if state is None:
            raise JobLostError(f"the JobManager at {self._run.job.rest.address} has lost the job")
        if state == "FAILED":
            raise JobLostError(f"Flink gave the job up: {why}")
        if state in ("FINISHED", "CANCELED"):
            warn(f"the job was ended at Flink, not here; it is {state}")
            return True
        self._say_once(f"Flink starts the job again: {why}" if why else "")
        return False

    def _gone(self, error: UnreachableError) -> JobLostError | BadSnapshotError:
        """Returns the error of an embedded Flink that ended: it ends with a job whose state it cannot
        restore."""
        if self._settled or self._run.snapshot is None:
            return JobLostError(str(error))
        return BadSnapshotError(
            self._run.snapshot,
            "Flink ended before it had a checkpoint of its own; why is at the end of "
            f"{self._run.needs[0].log}",
        )

    def settle(self) -> None:
        """Removes the snapshots of earlier runs once this one has a checkpoint of its own. Raises
        BadSnapshotError when it never gets its state."""
        if self._settled:
            return
        try:
            if self._run.job.completed_checkpoints():
                self._settled = True
                for problem in self._snapshots.remove_all_but(self._run.job.job_id):
                    warn(
                        f"{problem.filename} cannot be removed: {problem.strerror}; it is not needed any more"
                    )
            elif self._run.snapshot and len(failures := self._run.job.failed_restores()) >= _RESTORES:
                raise BadSnapshotError(self._run.snapshot, failures[0])
        except UnreachableError:
            return

    def _say_once(self, trouble: str) -> None:
        if trouble and trouble != self._said:
            warn(trouble)
        self._said = trouble
