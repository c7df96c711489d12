"""The command `sanitize`: of the datasets, what may be kept for good, as partitions of the same tables in
another place (`event_sanitized` beside `event`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import schemas
from pipeline.commands.sanitize_allowlist import Allowlist, read_allowlist
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import DatasetsOptions
from pipeline.console.columns import counted
from pipeline.options import check_reached, directory, option
from pipeline.process.directory_lock import locked_dataset
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.manifests import FoundPartition, MadeOf, find_partition, inputs_below, partitions_in
from transforms.datasets.storage_paths import Place, each_at
from transforms.datasets.stored_rows import rows_in
from transforms.events.combined_events import SCHEMAS, STREAM
from transforms.events.parsing import NotAnEventError
from transforms.models.model import Configuration

_COMBINED = schemas.table_name(STREAM)
_ALLOWLIST = Path(__file__).parents[1] / "event_sanitized_allowlist.yaml"


@dataclass(frozen=True, kw_only=True)
class Options(DatasetsOptions):
    output: Place = option(
        "--output",
        type=directory,
        required=True,
        metavar="DIR",
        help="where the tables go; what is there already stays",
    )
    allowlist: Path = option(
        "--allowlist",
        type=Path,
        default=_ALLOWLIST,
        metavar="FILE",
        help="in the format of wikimedia/analytics-refinery (default: the shipped one)",
    )
    salt: Path | None = option(
        "--salt", type=Path, metavar="FILE", help="the key of the hashes, if the allowlist has any"
    )


def run(options: Options) -> int:
    """Writes each partition that is not there yet, or was made of other files or by another list. Returns 1
    when a partition cannot be read or the output has what the list does not keep any more."""
    configuration = load_with(options.models, options.overrides)
    check_reached(options.root, "ROOT")
    check_reached(options.output, "--output")
    root, output = options.root.resolve(), options.output.resolve()
    if root == output:
        raise UsageError(f"--output: {options.output} is where the datasets are; name another directory")
    tables = _tables(configuration, root, output, everything=options.only is None)
    allowlist = read_allowlist(options.allowlist, options.salt, tables)
    if not any((root / table).is_dir() for table, schemas_of_table in tables.items() if schemas_of_table):
        raise options.no_dataset()
    writer = DatasetWriter(output)
    with locked_dataset(writer, "--output: "):
        writer.recover()
        wrong = 0
        for name, of_table in tables.items():
            in_format = writer.in_format_of(root / name)
            wrong += not _SanitizedTable(name, of_table, root / name, in_format, allowlist).write()
    return 1 if wrong else 0


def _tables(
    configuration: Configuration, root: Place, output: Place, *, everything: bool
) -> dict[str, tuple[str, ...]]:
    """Returns the tables of models, and with `everything` all others that are there, each with the URIs of
    the schemas that its events may have, the newest first, and with none where nobody knows."""
    tables: dict[str, tuple[str, ...]] = {
        schemas.table_name(model.stream): (model.schema,) for model in configuration.models.values()
    }
    if everything:
        others = sorted(
            {
                path.name
                for place in (root, output)
                if place.is_dir()
                for path in place.iterdir()
                if path.is_dir() and path.name[0] not in "._"
            }
        )
        known = {
            _COMBINED: tuple(sorted(SCHEMAS.values(), reverse=True)),
            schemas.table_name(configuration.failure_stream): (schemas.ERROR,),
        }
        tables |= {table: known.get(table, ()) for table in others if table not in tables}
    return tables


@dataclass(frozen=True)
class _SanitizedTable:
    """A table in its two places."""

    name: str
    schemas: tuple[str, ...]  # that its events may have, the newest first
    source: Place
    writer: DatasetWriter
    allowlist: Allowlist

    def write(self) -> bool:
        """Writes what is kept of the table and prints what it did; returns whether all could be read and the
        output has nothing else."""
        try:
            return self._write_partitions()
        except OSError as error:
            print(f"{self.name}: {error}; repair it and run this again")
            return False

    def _write_partitions(self) -> bool:
        there = partitions_in(self.writer.root / self.name)
        if not any(self.allowlist.masks.get((self.name, schema)) for schema in self.schemas):
            return self._tell_that_nothing_is_kept(there)
        partitions = partitions_in(self.source)
        results = each_at(self.writer.root, self._try_to_write, partitions)
        wrong = [error for error in results if isinstance(error, NotAnEventError)]
        written = results.count(True)
        for error in wrong:
            print(f"{self.name}: {error}; repair it and run this again")
        print(f"{self.name}: {counted(written, 'partition')} written, {len(partitions):,} in all")
        old = [
            partition
            for partition in there
            if partition not in partitions and self._is_of_another_list(partition)
        ]
        if old:
            why = f"such as {old[0]}, cannot be made anew, as the source is gone; remove what may not stay"
            print(f"{self.name}: {counted(len(old), 'partition')} of another list, {why}")
        return not wrong and not old

    def _try_to_write(self, partition: str) -> bool | NotAnEventError:
        """Returns whether a partition was written, or why it cannot be read. Raises OSError."""
        try:
            return self._write(partition)
        except NotAnEventError as error:
            return error

    def _tell_that_nothing_is_kept(self, there: list[str]) -> bool:
        listed = self.name in self.allowlist.names
        why = (
            "in the allowlist, but no model of the models file writes it"
            if listed
            else "not in the allowlist"
        )
        print(f"{self.name}: {why}, so nothing of it is kept")
        if there:
            print(
                f"{self.name}: {counted(len(there), 'partition')} that an earlier run kept lie in "
                f"{self.writer.root / self.name}; remove what may not stay"
            )
        return not there and not listed

    def _write(self, partition: str) -> bool:
        """Writes a partition unless it is up to date; returns whether it did."""
        source = self.source / partition
        found = find_partition(source)
        if found and found.damage and "v" in found.manifest:
            raise NotAnEventError(found.damage)
        schema = self._schema(found)
        mask = self.allowlist.masks[self.name, schema]
        assert mask is not None
        made_of = MadeOf(inputs_below(self.source.parent, source), {"allowlist": self.allowlist.digest})
        return self.writer.replace_if_stale(
            self.writer.root / self.name / partition, schema, map(mask, rows_in(source)), made_of
        )

    def _schema(self, found: FoundPartition | None) -> str:
        """Returns the schema of a partition's events; a combined one is of the version that `combine` was
        told."""
        schema = found.rule.get("schema") if found else None
        return schema if schema in self.schemas else self.schemas[0]

    def _is_of_another_list(self, partition: str) -> bool:
        found = find_partition(self.writer.root / self.name / partition)
        return bool(found and found.rule.get("allowlist") != self.allowlist.digest)
