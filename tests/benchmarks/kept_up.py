"""A command that is started again whenever it ends, as whoever operates it would have it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from typing_extensions import Self

from runners.programs import Program


class KeptUp:
    """Its context ends when the command has ended with SIGTERM."""

    def __init__(self, program: Callable[[], Program]) -> None:
        self._program = program
        self._enough = threading.Event()
        # children end with the thread that started them
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self.codes: list[int] = []  # of the times it ended by itself

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._enough.wait(1):
            with self._program() as program:
                while program.process.poll() is None and not self._enough.wait(0.5):
                    pass
                if (code := program.process.poll()) is not None:
                    self.codes.append(code)
