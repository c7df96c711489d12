"""The allowlist of `sanitize`: which fields of which tables are kept, in the format of
wikimedia/analytics-refinery."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemas
from pipeline.config import strict_yaml
from pipeline.usage_error import UsageError
from transforms.datasets.row_masks import Mask, mask_of_table, problems


@dataclass(frozen=True)
class Allowlist:
    """What is kept of tables."""

    digest: str  # tells one list from another
    names: frozenset[str]  # of the tables that it lists
    # by table and the URI of a schema; None: nothing is kept
    masks: Mapping[tuple[str, str], Mask | None] = field(default_factory=dict)


def read_allowlist(path: Path, salt_file: Path | None, tables: Mapping[str, tuple[str, ...]]) -> Allowlist:
    """Returns what a file keeps of the events of tables.

    `salt_file`: has the key of the hashes; `tables`: by name, each with the URIs of its events' schemas.
    Raises UsageError with all that is wrong.
    """
    wrong: list[str] = []
    document: Mapping[str, Any] = strict_yaml.read(path, wrong)
    wrong += problems(document)
    masks: dict[tuple[str, str], Mask | None] = {}
    if not wrong:
        salt = _salt(salt_file) if salt_file else None
        for table, of_table in tables.items():
            for schema in of_table:
                try:
                    masks[table, schema] = mask_of_table(document, table, schemas.arrow_schema(schema), salt)
                except ValueError as error:
                    wrong.append(str(error))
    if wrong:
        raise UsageError(f"--allowlist: {path}: " + "\n".join(dict.fromkeys(wrong)))
    names = frozenset(schemas.column_name(name).lower() for name in document)
    return Allowlist(hashlib.sha256(path.read_bytes()).hexdigest(), names, masks)


def _salt(path: Path) -> bytes:
    try:
        salt = path.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"--salt: {path} cannot be read: {error.strerror}") from error
    if not salt:
        raise UsageError(f"--salt: {path} is empty; expected the key of the hashes")
    return bytes(salt)
