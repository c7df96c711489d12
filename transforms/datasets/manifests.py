"""The manifest of a partition: what it was made of, and what is missing in it. Whoever asks whether a
partition is whole compares here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import orjson

from transforms.datasets.durable_files import replace_file
from transforms.datasets.filesystem import version_of
from transforms.datasets.storage_paths import Place, address_of, below, files_under, sizes_in
from transforms.models.model import ANY_WIKI

MANIFEST = "_manifest.json"  # beside the part files; readers of Hive tables pass over names that begin with _
VERSION = 1
LAYOUT = "datacenter/year/month/day/hour"
_TYPES: Mapping[str, type] = {"files": list, "rows": int, "failures": dict}  # of manifests of before, too
_TYPES_OF_VERSION = {"inputs": list, "rule": dict, "wikis": dict, "missing": list}


@dataclass(frozen=True)
class MadeOf:
    """What the rows of a partition follow from."""

    # files, each with path, bytes and version: what changes when its content does
    inputs: Sequence[Mapping[str, Any]] = ()
    rule: Mapping[str, Any] = field(default_factory=dict)
    # with the kind of event by which each is scored; ANY_WIKI: all others
    wikis: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Returns it as manifests have it."""
        return {"inputs": list(self.inputs), "rule": self.rule, "wikis": self.wikis}


@dataclass(frozen=True)
class FoundPartition:
    """What lies at the place of a partition."""

    manifest: Mapping[str, Any]  # empty where it cannot be read
    damage: str  # what is not as it was written, such as a part file of another size; empty: nothing

    @property
    def is_of_before(self) -> bool:
        """Returns whether its manifest does not say what it was made of, as those of 0.1."""
        return bool(self.manifest) and "v" not in self.manifest

    @property
    def is_known(self) -> bool:
        """Returns whether it is as it was written, and its manifest says what it was made of."""
        return not self.damage and not self.is_of_before

    @property
    def rule(self) -> Mapping[str, Any]:
        """Returns by what its rows were made, which manifests of 0.1 have beside all else."""
        rule: Mapping[str, Any] = self.manifest.get("rule", self.manifest)
        return rule

    def differences(self, wanted: MadeOf, scope: frozenset[str] | None = None) -> list[str]:
        """Returns in what the partition differs from one that is made now: damage, manifest, unread, inputs,
        rule, wikis. `scope`: the wikis that the run is about; None: all."""
        if not self.is_known:
            return ["damage" if self.damage else "manifest"]
        if self.manifest.get("unread"):
            return ["unread"]
        found = [
            name
            for name, value in (("inputs", list(wanted.inputs)), ("rule", wanted.rule))
            if self.manifest[name] != value
        ]
        there: Mapping[str, str] = self.manifest["wikis"]
        added = [wiki for wiki, on in wanted.wikis.items() if there.get(wiki, there.get(ANY_WIKI)) != on]
        removed = [wiki for wiki in there if wiki not in wanted.wikis and (scope is None or wiki in scope)]
        return found + (["wikis"] if added or removed else [])

    def with_others(self, wanted: MadeOf, scope: frozenset[str] | None) -> MadeOf:
        """Returns what is true of the partition when the rows of the scope's wikis follow from `wanted` and
        the others stay as they are."""
        if scope is None or set(self.differences(wanted, scope)) - {"wikis"}:
            return wanted
        others = {wiki: on for wiki, on in self.manifest["wikis"].items() if wiki not in scope}
        own = {wiki: on for wiki, on in wanted.wikis.items() if others.get(ANY_WIKI) != on}
        return MadeOf(wanted.inputs, wanted.rule, {**others, **own})


def find_partition(partition: Place) -> FoundPartition | None:
    """Returns what lies there; None when neither rows nor a manifest do. Raises OSError when the place cannot
    be looked at."""
    files = _part_files(partition)
    try:
        manifest, damage = _parsed((partition / MANIFEST).read_bytes()), ""
    except (FileNotFoundError, NotADirectoryError):
        if not files:
            return None
        return FoundPartition({}, f"{partition}: there is no {MANIFEST}")
    except (OSError, ValueError) as error:
        return FoundPartition({}, f"{partition / MANIFEST}: cannot be read: {error}")
    said = {file["name"]: file["bytes"] for file in manifest["files"]}
    for name in sorted(files.keys() | said.keys()):
        if files.get(name) != said.get(name):
            damage = (
                f"{partition / name}: expected {_bytes(said.get(name))}, as {MANIFEST} says, got "
                f"{_bytes(files.get(name))}"
            )
    return FoundPartition(manifest, damage)


def _bytes(count: int | None) -> str:
    return "no such file" if count is None else f"{count} bytes"


def _parsed(content: bytes) -> Mapping[str, Any]:
    """Raises ValueError for what is no manifest."""
    manifest = orjson.loads(content) if content else None
    if not isinstance(manifest, dict):
        raise ValueError("expected a JSON object" + ("" if content else ", got an empty file"))
    if (version := manifest.get("v", VERSION)) != VERSION:
        raise ValueError(f"expected version {VERSION}, got {version!r:.20}")
    for name, kind in {**_TYPES, **(_TYPES_OF_VERSION if "v" in manifest else {})}.items():
        if not isinstance(manifest.get(name), kind):
            raise ValueError(f"{name}: expected {kind.__name__}, got {manifest.get(name)!r:.50}")
    for name in ("files", "missing", "inputs"):
        if not all(isinstance(each, dict) for each in manifest.get(name, ())):
            raise ValueError(f"{name}: expected a list of objects")
    if not all("name" in file and "bytes" in file for file in manifest["files"]):
        raise ValueError("files: expected name and bytes of each")
    return manifest


def write_manifest(partition: Place, manifest: Mapping[str, Any]) -> None:
    """Writes the manifest of a partition that is there, whole or not at all. Raises OSError."""
    replace_file(partition / MANIFEST, manifest_json(manifest))


def manifest_json(manifest: Mapping[str, Any]) -> bytes:
    """Returns the content of a manifest, with its version; by hours, where it does not say another layout."""
    return orjson.dumps({"v": VERSION, "layout": LAYOUT, **manifest}, option=orjson.OPT_INDENT_2)


def parts_told(manifest: bytes) -> frozenset[str]:
    """Returns the names of the part files of which a manifest of this version tells."""
    return frozenset(file["name"] for file in orjson.loads(manifest)["files"])


def files_of(partition: Place) -> list[dict[str, Any]]:
    """Returns name and bytes of each part file, in order."""
    return [{"name": name, "bytes": size} for name, size in _part_files(partition).items()]


def _part_files(partition: Place) -> dict[str, int]:
    return {name: size for name, size in sizes_in(partition).items() if name.startswith("part-")}


def files_below(place: Place, prefixes: tuple[str, ...] = ("part-",)) -> Iterator[Place]:
    """Yields the part files below a folder, or those whose names begin so. Raises OSError as files_under
    does."""
    return (path for path in files_under(place) if path.name.startswith(prefixes))


def partitions_in(table: Place) -> list[str]:
    """Returns the partitions of a table, those with a manifest or rows, in order. Raises OSError."""
    return sorted({below(path.parent, table) for path in files_below(table, ("part-", MANIFEST))})


def partitions_by(table: Place, depth: int) -> dict[str, list[str]]:
    """Returns the partitions of a table by so many of their folders, such as the day of an hour. Raises
    OSError."""
    together: dict[str, list[str]] = {}
    for partition in partitions_in(table):
        together.setdefault("/".join(partition.split("/")[:depth]), []).append(partition)
    return together


def inputs_below(root: Place, partition: Place) -> list[Mapping[str, Any]]:
    """Returns the part files of a partition as a manifest has its inputs."""
    return [
        {
            "path": below(partition / name, root),
            "bytes": size,
            "version": version_of(address_of(partition / name)),
        }
        for name, size in _part_files(partition).items()
    ]


def now() -> str:
    """Returns the time in seconds, as manifests have it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
