"""The command `audit`: which scores a dataset should have and has not, or has of an older version of the model."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

import schemas
from pipeline.input_files import input_files, print_left_out
from pipeline.wrong_use import WrongUse
from transforms.elements import Raw
from transforms.event_files import InputFile, read_file
from transforms.models import Configuration
from transforms.read_events import NotAnEvent, event_in, why_dropped
from transforms.score_events import said_in, score_id
from transforms.select_models import Selection
from transforms.source_events import partition_of_event, rev_id_of, wiki_of
from transforms.units import rows_in, score_of

_WHY = ("missing", "failed", "older")
_OF_SCORES = frozenset({"meta", "database", "wiki_id", "scores", "predicted_classification"})


class Place(NamedTuple):
    """What is counted together."""

    model: str
    wiki: str
    partition: str


@dataclass(frozen=True)
class Hole:
    """A score that is not there, or not the newest model's."""

    place: Place
    rev_id: int
    id: str  # its `meta.id`
    why: str  # missing: nothing is known of it; failed: a failure is; older: it is of another version than the newest score of its wiki

    def as_json(self) -> Mapping[str, Any]:
        return {**self.place._asdict(), "rev_id": self.rev_id, "id": self.id, "why": self.why}


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Prints what there should be and what there is. Gives 1 when there are holes, or files that it did not read may hold events."""
    found = input_files(configuration, arguments)
    print_left_out(found)
    if not arguments.scores.is_dir():
        raise WrongUse(f"--scores: no such directory: {arguments.scores}")
    try:
        expected, holes = audit(configuration, found.files, arguments.scores)
    except NotAnEvent as error:
        raise WrongUse(f"--scores: {error}; remove the partition, and regenerate --resume makes it anew") from error
    if arguments.list:
        arguments.list.write_bytes(b"".join(orjson.dumps(hole.as_json(), option=orjson.OPT_APPEND_NEWLINE) for hole in holes))
    counts = Counter((hole.place, hole.why) for hole in holes)
    (_print_json if arguments.json else _print_table)(expected, counts)
    return 1 if holes or found.may_miss_events else 0


def audit(configuration: Configuration, files: Sequence[InputFile], root: Path) -> tuple[Counter[Place], list[Hole]]:
    """How many scores there should be, and those that are not as they should be."""
    streams = {model.name: model.stream for model in configuration.models.values()}
    newest = {model: _newest_versions(root / schemas.table_name(stream), model) for model, stream in streams.items()}
    expected: Counter[Place] = Counter()
    holes: list[Hole] = []
    for wanted in _by_partition(files, Selection(configuration.models, configuration.wikis), streams):
        of_units: dict[tuple[str, str], dict[str, tuple[str, int]]] = {}
        for place, rev_id, name in wanted:
            of_units.setdefault((place.model, place.partition), {})[name] = place.wiki, rev_id
        for (model, partition), of_unit in of_units.items():
            versions = {
                row["meta"]["id"]: said_in(row, model).model_version for row in rows_in(root / schemas.table_name(streams[model]) / partition, _OF_SCORES)
            }
            failed = {score_of(row, model, streams[model]) for row in rows_in(root / schemas.table_name(configuration.failure_stream) / partition)}
            for name, (wiki, rev_id) in of_unit.items():
                place = Place(model, wiki, partition)
                expected[place] += 1
                if name not in versions:
                    holes.append(Hole(place, rev_id, name, "failed" if name in failed else "missing"))
                elif versions[name] != newest[model].get(wiki):
                    holes.append(Hole(place, rev_id, name, "older"))
    return expected, holes


def _by_partition(files: Sequence[InputFile], selection: Selection, streams: Mapping[str, str]) -> Iterator[Iterator[tuple[Place, int, str]]]:
    """The scores that should be, one partition's after the other's; all at once where a place does not tell the partition."""
    groups: dict[str | None, list[InputFile]] = {}
    in_heap = any(file.partition is None for file in files)
    for file in files:
        groups.setdefault(None if in_heap else file.partition, []).append(file)
    for group in groups.values():
        yield (found for file in group for raw in read_file(file) for found in _wanted(raw, selection, streams))


def _wanted(raw: Raw, selection: Selection, streams: Mapping[str, str]) -> Iterator[tuple[Place, int, str]]:
    try:
        event = event_in(raw)
    except NotAnEvent:  # regenerate says what is wrong with it
        return
    partition = raw.partition or partition_of_event(event, raw.datacenter)
    if partition and not why_dropped(event):
        for endpoint in selection.endpoints(event):
            yield Place(endpoint.model, wiki_of(event), partition), rev_id_of(event), score_id(event, streams[endpoint.model])


def _newest_versions(table: Path, model: str) -> dict[str, str]:
    """By wiki, the version of the score that was written last."""
    newest: dict[str, tuple[str, str]] = {}
    for row in rows_in(table, _OF_SCORES):
        found = row["meta"]["dt"], said_in(row, model).model_version
        newest[wiki_of(row)] = max(newest.get(wiki_of(row), found), found)
    return {wiki: version for wiki, (_, version) in newest.items()}


def _print_json(expected: Counter[Place], holes: Counter[tuple[Place, str]]) -> None:
    for place, count in sorted(expected.items()):
        print(orjson.dumps({**place._asdict(), "expected": count, **{why: holes[place, why] for why in _WHY}}).decode())


def _print_table(expected: Counter[Place], holes: Counter[tuple[Place, str]]) -> None:
    """A line for each model and wiki with holes, and one for all of each model."""
    print(f"{'model':<16}{'wiki':<18}{'expected':>10}" + "".join(f"{why:>10}" for why in _WHY) + "  partitions with holes")
    for model in sorted({place.model for place in expected}):
        of_model = {place: count for place, count in expected.items() if place.model == model}
        wikis = sorted({place.wiki for place, _ in holes if place.model == model})
        for wiki in [*wikis, "all"]:
            places = [place for place in of_model if wiki in ("all", place.wiki)]
            counts = [sum(holes[place, why] for place in places) for why in _WHY]
            with_holes = len({place.partition for place in places if any(holes[place, why] for why in _WHY)})
            print(f"{model:<16}{wiki:<18}{sum(of_model[place] for place in places):>10}" + "".join(f"{count:>10}" for count in counts) + f"  {with_holes}")


@dataclass(frozen=True)
class Missing:
    """What `regenerate --missing` does: the holes that an audit found, and nothing else."""

    ids: frozenset[str]
    units: frozenset[tuple[str, str]]  # (model, partition)

    @classmethod
    def read(cls, path: Path) -> Missing:
        """Raises WrongUse when the file is no list that an audit wrote."""
        try:
            holes = [orjson.loads(line) for line in path.read_bytes().splitlines()]
            return cls(frozenset(hole["id"] for hole in holes), frozenset((hole["model"], hole["partition"]) for hole in holes))
        except OSError as error:
            raise WrongUse(f"--missing: {path} cannot be read: {error.strerror}") from error
        except (orjson.JSONDecodeError, TypeError, KeyError) as error:
            raise WrongUse(f"--missing: expected the list that `audit --list` writes, got {path} ({error})") from error
