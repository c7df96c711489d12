"""The models file, looked at again and again, as the page outlives the streams that it shows."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline.config.overrides import Overrides, load_with
from pipeline.usage_error import UsageError
from transforms.models.model import Configuration

_LOOK_S = 2.0


class ModelsFileWatcher:
    """`trouble`: why the file as it is now cannot be used, in a sentence."""

    def __init__(self, path: Path, overrides: Overrides) -> None:
        self._path, self._overrides = path, overrides
        self._seen = self._stamp()
        self._next_look = time.monotonic() + _LOOK_S
        self.trouble = ""

    def poll(self) -> Configuration | None:
        """Returns what the file says when it has changed since the last look; looks every two seconds at
        most."""
        if time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + _LOOK_S
        stamp = self._stamp()
        if stamp == self._seen:
            return None
        self._seen = stamp
        try:
            found = load_with(self._path, self._overrides)
        except UsageError as error:
            problems = str(error).splitlines()
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            self.trouble = (
                f"The models file has been changed and cannot be used: {problems[0]}{more}; the "
                "page shows the models of before."
            )
            return None
        self.trouble = ""
        return found

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size
