"""Whether a Flink cluster can take the job of a stream: of which version it is, with room for the job, and
Python workers."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from pipeline.checks.findings import Finding, ok, skipped, unseen, wrong
from pipeline.flink.job_server import flink_version
from pipeline.flink.rest import FlinkRest, UnreachableError
from pipeline.usage_error import UsageError

_PATIENCE_S = 5.0
_THIS_MACHINE = ("127.0.0.1", "localhost")


def look(flink: str, worker_pool: str, group: str, options: Sequence[str]) -> Iterator[Finding]:
    """Looks at the JobManager, its free slots and the workers.

    `flink`, `worker_pool`: HOST:PORT; `group`: the name of the job; `options`: Beam's.
    """
    rest = FlinkRest(flink)
    try:
        rest.check_answers()
        yield version(rest)
        yield slots(rest, group, options)
    except UsageError as error:
        yield wrong("flink", error)
        yield unseen("slots", "no JobManager answers")
    yield workers(flink, worker_pool)


def version(rest: FlinkRest) -> Finding:
    """Checks that the JobManager is of our version: it refuses the job of a client of another one, or
    breaks on it later."""
    try:
        theirs, ours = rest.version(), flink_version()
    except UnreachableError as error:
        return wrong("flink", f"--flink: {error}; name the port of its web page")
    except FileNotFoundError:
        return unseen("flink", f"Flink {theirs} answers at {rest.address}, and no jar tells which is wanted")
    if theirs != ours:
        return wrong(
            "flink",
            f"--flink: expected Flink {ours}, which the jar has, at {rest.address}, got {theirs}; name a "
            f"cluster of {ours}",
        )
    return ok("flink", f"{theirs} at {rest.address}")


def slots(rest: FlinkRest, group: str, options: Sequence[str]) -> Finding:
    """Checks that there is room for the job. One of the group that runs already is stopped first, and so
    has what the next one needs."""
    needed = parallelism(options)
    try:
        free, running = rest.free_slots(), rest.job_ids(group)
    except UnreachableError as error:
        return unseen("slots", str(error))
    if running:
        return ok("slots", f"{free} free, and those of the job {group}, which a new stream takes over")
    if free < needed:
        return wrong(
            "slots",
            f"--flink: expected as many free slots at {rest.address} as are needed, {needed}, got {free}; "
            "start a TaskManager there, or end a job",
        )
    return ok("slots", f"{free} free, {needed} needed")


def parallelism(options: Sequence[str]) -> int:
    """Returns Beam's --parallelism, of which the last counts, or the 1 of `pipeline/flink/settings.py`."""
    words = [word for option in options for word in option.split("=", 1)]
    given = [
        value
        for name, value in zip(words, words[1:], strict=False)
        if name == "--parallelism" and value.isdecimal()
    ]
    return int(given[-1]) if given else 1


def workers(flink: str, address: str) -> Finding:
    """Checks that Python workers answer. Those on another machine, a TaskManager's, cannot be seen."""
    host, _, port = address.rpartition(":")
    if host in _THIS_MACHINE and flink.rpartition(":")[0] not in _THIS_MACHINE:
        return skipped("workers", f"{address} is on each TaskManager's own machine")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except (OSError, ValueError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        return wrong(
            "workers",
            f"--workers: no Python workers answer at {address} ({why}); start some: python -m "
            f"pipeline.flink.worker_pool --port {port}",
        )
    return ok("workers", f"somebody answers at {address}")
