"""Whether Flink can open the port of `--metrics-port`."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from pipeline.checks.findings import Finding, ok, skipped, wrong

_THING = "metrics"


def look(port: int | None, flink: str | None) -> Iterator[Finding]:
    """Opens the port as Flink does: on all addresses, and though a connection of its last owner is still
    there.

    `flink`: the cluster that the stream is for, if it is for one.
    """
    if port is None:
        return
    if flink:
        yield skipped(_THING, "--metrics-port does nothing with --flink, where the cluster's settings say it")
        return
    try:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("", port))
            listener.listen()
        yield ok(_THING, f"port {port} is free")
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is none"
        yield wrong(
            _THING,
            f"--metrics-port: expected a free port, got {port} ({why}); name another, or end who has it",
        )
