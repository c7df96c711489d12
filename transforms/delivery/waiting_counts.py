"""Counts the events that wait in Flink's state for streams that do not take them, as far as one worker
process knows. Without Beam."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from transforms.worker.environment import REAL, Environment
from transforms.worker.shared import SHARED

MOST_WAITING = 100_000  # events of a stream, per process; then its model is not called any more


class WaitingDeliveries:
    """The events that wait, by the key under which they lie in state, and the streams of each model."""

    def __init__(self) -> None:
        self._of_key: dict[str, Mapping[str, int]] = {}  # by stream
        self._of_stream: Counter[str] = Counter()
        self._stream_of: dict[tuple[str, str], str] = {}  # by model and datacenter

    def note(self, key: str, waiting: Mapping[str, int]) -> None:
        """Notes how many events wait under a key now, by stream, in place of those that did before."""
        self._of_stream.subtract(self._of_key.pop(key, {}))
        if any(waiting.values()):
            self._of_key[key] = dict(waiting)
            self._of_stream.update(waiting)

    def under(self, key: str) -> Mapping[str, int]:
        """Returns how many events wait under a key, by stream."""
        return self._of_key.get(key, {})

    def note_model(self, model: str, datacenter: str, stream: str) -> None:
        """Notes to which stream the scores of a model go."""
        self._stream_of[model, datacenter] = stream

    def counts(self) -> dict[str, int]:
        """Returns how many events wait, by stream; 0 for one for which none does any more."""
        return dict(self._of_stream)

    def keys(self) -> int:
        """Returns under how many keys events wait."""
        return len(self._of_key)

    def is_undeliverable(self, model: str) -> bool:
        """Returns whether so much waits for the stream of a model, of any datacenter, that no more should be
        asked of it."""
        if not self._of_key:
            return False
        return any(
            self._of_stream[stream] >= MOST_WAITING
            for (name, _), stream in self._stream_of.items()
            if name == model
        )


def waiting_deliveries(environment: Environment = REAL) -> WaitingDeliveries:
    """Returns those of this process; they live as long as it does."""
    return SHARED.acquire(_new, environment)


def _new(_environment: Environment) -> WaitingDeliveries:
    return WaitingDeliveries()


def gauge_name(kind: str, stream: str) -> str:
    """Returns the name of a metric of a stream: letters, digits and _ only, as Prometheus has it."""
    return re.sub(r"[^A-Za-z0-9_]", "_", f"{kind}_{stream}")
