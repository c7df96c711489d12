"""State and timers of one key, for a DoFn that runs without a runner."""

from __future__ import annotations

from apache_beam.utils.timestamp import Timestamp


class Bag:
    def __init__(self) -> None:
        self.items: list[bytes] = []

    def read(self) -> list[bytes]:
        return self.items

    def add(self, item: bytes) -> None:
        self.items.append(item)

    def clear(self) -> None:
        self.items = []


class Timer:
    """The last time and tag that were set."""

    def __init__(self) -> None:
        self.at, self.tag = 0.0, ""

    def set(self, at: Timestamp, dynamic_timer_tag: str = "") -> None:
        self.at, self.tag = float(at), dynamic_timer_tag
