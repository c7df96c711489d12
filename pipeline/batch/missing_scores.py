"""Which scores the events in files ask for, and which of them a dataset does not have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pipeline.usage_error import UsageError
from transforms.datasets.event_files import InputFile, read_file
from transforms.datasets.filesystem import printable
from transforms.datasets.journal import UNKNOWN
from transforms.elements import SourceRecord
from transforms.events.parsing import NotAnEventError, event_in, why_dropped
from transforms.events.score_events import score_id
from transforms.events.source_events import partition_of_event, rev_id_of, wiki_of
from transforms.models.model import Configuration
from transforms.models.scorable import fields_to_read
from transforms.models.selection import Selection

UnitKey = tuple[str, str]  # model and partition


class ScoreGroup(NamedTuple):
    """Scores that are counted together."""

    model: str
    wiki: str
    partition: str

    @property
    def unit(self) -> UnitKey:
        return self.model, self.partition


class Wanted(NamedTuple):
    """A score that there should be."""

    group: ScoreGroup
    rev_id: int
    id: str  # its `meta.id`


@dataclass(frozen=True)
class Hole:
    """A score that is not there, or not the newest model's."""

    group: ScoreGroup
    rev_id: int
    id: str  # its `meta.id`
    # missing: nothing is known of it; failed: a failure is; older: it is of another version than the newest
    # score of its wiki
    why: str

    def as_json(self) -> Mapping[str, Any]:
        return {**self.group._asdict(), "rev_id": self.rev_id, "id": self.id, "why": self.why}


@dataclass
class WantedScores:
    """Reads files for the scores that they ask for, and notes what in them cannot be read."""

    configuration: Configuration
    # what files could not be read, by partition or UNKNOWN
    unreadable: dict[str, list[str]] = field(default_factory=dict)
    # rows of which no score can come, by file and reason
    unusable: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        models = self.configuration.models.values()
        self._selection = Selection(self.configuration.models, self.configuration.wikis)
        self._fields = fields_to_read(models)
        self._streams = {model.name: model.stream for model in models}

    def of(self, files: Sequence[InputFile]) -> Iterator[Wanted]:
        """Yields the scores that the events of files ask for; one that comes again may come again."""
        for file in files:
            for raw in read_file(file, self._fields):
                yield from self._of_raw(raw, file)

    def _of_raw(self, raw: SourceRecord, file: InputFile) -> Iterator[Wanted]:
        try:
            event = event_in(raw)
        except NotAnEventError as error:
            if raw.problem and not raw.final:
                self.unreadable.setdefault(raw.partition or UNKNOWN, []).append(raw.problem)
            else:
                self.unusable[raw.problem or f"{printable(file.path)}: {error}"] += 1
            return
        if why_dropped(event):
            return
        wiki, partition = wiki_of(event), raw.partition or partition_of_event(event, raw.datacenter)
        endpoints = self._selection.endpoints(event)
        if endpoints and partition is None:
            self.unusable[f"{printable(file.path)}: no time that tells the hour"] += 1
        elif partition is not None:
            for endpoint in endpoints:
                yield Wanted(
                    ScoreGroup(endpoint.model, wiki, partition),
                    rev_id_of(event),
                    score_id(event, self._streams[endpoint.model]),
                )


@dataclass(frozen=True)
class BackfillList:
    """What `regenerate --missing` does: the holes that an audit found, and nothing else."""

    ids: Mapping[UnitKey, frozenset[str]]

    @classmethod
    def read(cls, path: Path) -> BackfillList:
        """Returns what a file lists. Raises UsageError when it is no list that an audit wrote."""
        ids: dict[UnitKey, set[str]] = {}
        try:
            for hole in map(orjson.loads, path.read_bytes().splitlines()):
                ids.setdefault((hole["model"], hole["partition"]), set()).add(hole["id"])
        except OSError as error:
            raise UsageError(f"--missing: {path} cannot be read: {error.strerror}") from error
        except (orjson.JSONDecodeError, TypeError, KeyError) as error:
            raise UsageError(
                f"--missing: expected the list that `audit --list` writes, got {path} ({error})"
            ) from error
        return cls({unit: frozenset(names) for unit, names in ids.items()})
