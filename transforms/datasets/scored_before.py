"""Which scores a batch run need not ask for."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from transforms.datasets.journal import entries
from transforms.datasets.storage_paths import place_at
from transforms.elements import Event
from transforms.events.score_events import score_id
from transforms.events.source_events import partition_of_event

_UNITS_KNOWN = 256


@dataclass(frozen=True)
class ScoredBefore:
    """Tells which scores need not be asked for: those of whole units, a model and a partition each, those
    that are not wanted of others, and those that a journal has."""

    folder: str  # the address of it: a place of HDFS or S3 takes long to be looked up by
    streams: Mapping[str, str]  # by model
    whole: frozenset[tuple[str, str]] = frozenset()  # units (model, partition) of which nothing is wanted
    # by unit, the `meta.id`s of the scores that are wanted
    only: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    others: bool = True  # whether of all other units every score is wanted, or none
    # by which what journals had is remembered: they grow
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __call__(self, event: Event, model: str) -> bool:
        partition = event.partition or partition_of_event(event.raw, event.datacenter)
        if partition is None:  # another step will find that it has no time
            return False
        unit = model, partition
        if unit in self.whole:
            return True
        wanted = self.only.get(unit, None if self.others else frozenset[str]())
        ids = _ids_in(self.folder, partition, model, self.key)
        if not ids and wanted is None:
            return False
        name = score_id(event.raw, self.streams[model])
        return name in ids or (wanted is not None and name not in wanted)


@lru_cache(maxsize=_UNITS_KNOWN)
def _ids_in(folder: str, partition: str, model: str, key: str) -> frozenset[str]:
    journal = place_at(folder) / partition / model
    return frozenset(entry.body["meta"]["id"] for entry in entries(journal) if not entry.failure)
