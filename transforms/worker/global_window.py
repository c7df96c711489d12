"""Elements that leave a bundle at its end, or out of a thread."""

from __future__ import annotations

from typing import Any

from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue


def in_global_window(value: Any) -> WindowedValue:
    """Returns an element without a time, for outputs of `finish_bundle`."""
    return WindowedValue(value, MIN_TIMESTAMP, [GlobalWindow()])
