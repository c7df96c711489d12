"""One run at a time in a place that other machines see too, by a file that its holder writes every five
seconds."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
from upath import UPath

from pipeline.usage_error import UsageError
from transforms.datasets.durable_files import replace_file
from transforms.datasets.storage_paths import address_of

LEASE = "lease"  # its name
_BEAT_S = 5.0
_PATIENCE_S = 20.0  # a lease that stays as it is for so long is of a run that was killed
_LOOK_S = 1.0


@contextmanager
def leased(folder: UPath, otherwise: str) -> Iterator[None]:
    """Holds the lease of a folder while the context is open. Raises UsageError with the message `otherwise`
    when another run holds it; takes over the lease of one that was killed, after 20 seconds without a sign.

    No clock is asked but this machine's own. A run that could not write its lease for as long as others wait,
    or finds another's in its stead, ends as SIGTERM ends it.
    """
    lease = _Lease(folder / LEASE)
    lease.acquire(otherwise)
    over = threading.Event()
    renewing = threading.Thread(target=lease.renew_until, args=(over,), name="lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        lease.release()


class _Lease:
    def __init__(self, place: UPath) -> None:
        self._place, self._run, self._beats = place, str(uuid.uuid4()), 0

    def acquire(self, otherwise: str) -> None:
        if self._create():
            return
        there, end = self._read(), time.monotonic() + _PATIENCE_S
        self._say(f"is of another run; waiting {_PATIENCE_S:g} s to see whether that lives")
        while time.monotonic() < end:
            time.sleep(_LOOK_S)
            if (now := self._read()) != there and now:
                raise UsageError(otherwise)
        self._place.unlink(missing_ok=True)
        if not self._create():
            raise UsageError(otherwise)

    def renew_until(self, over: threading.Event) -> None:
        written = time.monotonic()
        while not over.wait(_BEAT_S):
            try:
                if self._is_taken():
                    self._end("is held by another run by now")
                    return
                replace_file(self._place, self._content())
                written = time.monotonic()
            except OSError as error:
                if time.monotonic() - written > _PATIENCE_S:
                    self._end(f"cannot be written: {error}")
                    return

    def release(self) -> None:
        try:
            if not self._is_taken():
                self._place.unlink(missing_ok=True)
        except OSError as error:
            self._say(f"cannot be removed: {error}")

    def _say(self, what: str) -> None:
        print(f"{address_of(self._place)} {what}", file=sys.stderr, flush=True)

    def _end(self, why: str) -> None:
        self._say(f"{why}: this run ends")
        os.kill(os.getpid(), signal.SIGTERM)

    def _is_taken(self) -> bool:
        return self._run.encode() not in self._read()

    def _create(self) -> bool:
        """Creates the lease. Returns whether there was none; of two that try at once one succeeds."""
        self._place.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._place.fs.pipe_file(self._place.path, self._content(), mode="create")
        except FileExistsError:
            return False
        return True

    def _content(self) -> bytes:
        self._beats += 1
        return orjson.dumps(
            {"run": self._run, "host": socket.gethostname(), "pid": os.getpid(), "beats": self._beats}
        )

    def _read(self) -> bytes:
        try:
            return bytes(self._place.read_bytes())
        except FileNotFoundError:
            return b""
