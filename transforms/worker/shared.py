"""What a worker process has one of, whichever of its DoFns use it: a client, connections, counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

Settings = ParamSpec("Settings")
Thing = TypeVar("Thing")


class Shared:
    """Holds one thing for given settings: opened by its first user, closed by its last. A thing that nobody
    releases lives as long as the process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # to open a thing may be to acquire another
        self._held: dict[tuple[Any, ...], tuple[Any, int]] = {}  # with the number of its users

    def acquire(
        self, opener: Callable[Settings, Thing], *settings: Settings.args, **named: Settings.kwargs
    ) -> Thing:
        """Returns what `opener` makes of these settings, the same to each user. Where a simulation runs
        several processes in one, their environments, which are among the settings, tell them apart."""
        key = opener, settings, *named.items()
        with self._lock:
            thing, users = self._held.get(key) or (opener(*settings, **named), 0)
            self._held[key] = thing, users + 1
        return thing

    def release(
        self, opener: Callable[Settings, Any], *settings: Settings.args, **named: Settings.kwargs
    ) -> None:
        """Takes back one `acquire` of the same arguments; the last one closes the thing."""
        key = opener, settings, *named.items()
        with self._lock:
            thing, users = self._held.pop(key)
            if users > 1:
                self._held[key] = thing, users - 1
            else:
                thing.close()

    def clear(self) -> None:
        """Forgets all things and closes none, as the end of a process does."""
        self._held.clear()


SHARED = Shared()
