"""The command `sanitize`: of the datasets, what may be kept for good, as partitions of the same tables in another place (`event_sanitized` beside `event`)."""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import schemas
from pipeline import strict_yaml
from pipeline.alone import alone_in
from pipeline.wrong_use import WrongUse
from transforms.allowlist import Mask, mask_of_table, problems
from transforms.models import Configuration
from transforms.part_files import form_of
from transforms.read_events import NotAnEvent
from transforms.units import Tables, files_of, rows_in


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Writes each partition that is not there yet, or was made of other files or by another list. Gives 0, or 1 when a partition cannot be read."""
    root, output = arguments.root.resolve(), arguments.output.resolve()
    if root == output:
        raise WrongUse(f"--output: {arguments.output} is where the datasets are; name another directory")
    masks = _masks(arguments, configuration)
    if not any((root / table).is_dir() for table in masks):
        raise WrongUse(f"no dataset of a model lies in {arguments.root}; name the --output of regenerate")
    tables = Tables(output, "parquet")
    tables.working.mkdir(parents=True, exist_ok=True)
    about = {"allowlist": hashlib.sha256(arguments.allowlist.read_bytes()).hexdigest()}
    unread = 0
    with alone_in(tables.working, f"--output: another run writes to {arguments.output}; wait for it, or stop it"):
        tables.tidy()
        for table, (schema, mask) in masks.items():
            partitions = sorted({path.parent for path in (root / table).rglob("part-*")})
            if mask is None:
                print(f"{table}: not in the allowlist, so nothing of it is kept")
                continue
            written = 0
            for partition in partitions:
                try:
                    written += _write(replace(tables, form=form_of(partition)), root, partition, schema, mask, about)
                except NotAnEvent as error:
                    unread += 1
                    print(f"{table}: {error}; repair it and run this again")
            print(f"{table}: {written} partitions written, {len(partitions)} there are")
    shutil.rmtree(tables.working)
    return 1 if unread else 0


def _masks(arguments: argparse.Namespace, configuration: Configuration) -> dict[str, tuple[str, Mask | None]]:
    """By table, the schema of its events and what is kept of it. Raises WrongUse with all that is wrong."""
    path: Path = arguments.allowlist
    wrong: list[str] = []
    allowlist = strict_yaml.read(path, wrong)
    wrong += problems(allowlist)
    masks: dict[str, tuple[str, Mask | None]] = {}
    if not wrong:
        salt = _salt(arguments.salt) if arguments.salt else None
        for model in configuration.models.values():
            table = schemas.table_name(model.stream)
            try:
                masks[table] = model.schema, mask_of_table(allowlist, table, schemas.arrow_schema(model.schema), salt)
            except ValueError as error:
                wrong.append(str(error))
    if wrong:
        raise WrongUse(f"--allowlist: {path}: " + "\n".join(wrong))
    return masks


def _salt(path: Path) -> bytes:
    try:
        salt = path.read_bytes().strip()
    except OSError as error:
        raise WrongUse(f"--salt: {path} cannot be read: {error.strerror}") from error
    if not salt:
        raise WrongUse(f"--salt: {path} is empty; expected the key of the hashes")
    return bytes(salt)


def _write(tables: Tables, root: Path, partition: Path, schema: str, mask: Mask, about: Mapping[str, str]) -> bool:
    """Whether there was something to write."""
    target = tables.root / partition.relative_to(root)
    return tables.renew(target, schema, map(mask, rows_in(partition)), {"input": files_of(partition), **about})
