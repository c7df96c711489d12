"""What of a table may be kept for good: allowlists in the format of wikimedia/analytics-refinery, as
SanitizeTransformation.scala in wikimedia/analytics-refinery-source takes them.

    mediawiki_revision_score_damaging: keep_all
    another_table:
        dt: keep                      # a column that is no struct and no map
        user: hash                    # of a string: HMAC SHA-256 in hexadecimal
        performer: {user_id: keep}    # a struct or a map, or keep_all
    __defaults__: {meta: keep_all}    # for each table of the list that does not say otherwise
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

import schemas

DEFAULTS = "__defaults__"
_KEEP, _KEEP_ALL, _HASH = "keep", "keep_all", "hash"

Mask = Callable[[Any], Any]


def problems(allowlist: Mapping[str, Any]) -> Iterator[str]:
    """Yields what in an allowlist is no allowlist, whatever the tables."""
    for table, told in allowlist.items():
        if isinstance(told, Mapping):
            yield from _problems_of_fields(told, table)
        elif told != _KEEP_ALL or table == DEFAULTS:
            yield (
                f"{table}: expected {'' if table == DEFAULTS else 'keep_all or '}a mapping of its "
                f"columns, got {told!r}"
            )


def _problems_of_fields(told: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, below in told.items():
        if isinstance(below, Mapping):
            yield from _problems_of_fields(below, f"{path}.{name}")
        elif below not in (_KEEP, _KEEP_ALL, _HASH):
            yield f"{path}.{name}: expected keep, keep_all, hash or a mapping, got {below!r}"


def mask_of_table(
    allowlist: Mapping[str, Any], table: str, columns: pa.Schema, salt: bytes | None
) -> Mask | None:
    """Returns what makes a row, an event by its fields, into what is kept of it; None when nothing is.

    Raises ValueError, with a line for each thing that is wrong, when the list does not fit the columns.
    """
    by_name = _by_name(allowlist)
    told = by_name.get(table)
    if told is None or told == _KEEP_ALL:
        return None if told is None else _same
    builder = _MaskBuilder(salt)
    mask = builder.of_struct(_merged(by_name.get(DEFAULTS, {}), told), pa.struct(list(columns)), table)
    if builder.wrong:
        raise ValueError("\n".join(builder.wrong))
    return mask


def _by_name(told: Any) -> Any:
    """Returns a list with the names that fields have as columns, in lower case, as refine has them."""
    return (
        {schemas.column_name(name).lower(): _by_name(below) for name, below in told.items()}
        if isinstance(told, Mapping)
        else told
    )


def _merged(default: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    both = {
        name: _merged(default[name], below)
        if isinstance(below, Mapping) and isinstance(default.get(name), Mapping)
        else below
        for name, below in own.items()
    }
    return {**default, **both}


def _same(value: Any) -> Any:
    return value


@dataclass
class _MaskBuilder:
    """Makes masks for the columns of a table, and notes what of an allowlist does not fit them."""

    salt: bytes | None
    wrong: list[str] = field(default_factory=list)  # a line each

    def of_struct(self, told: Mapping[str, Any], kind: pa.StructType, path: str) -> Mask:
        masks = {
            column.name: self._mask(told[column.name.lower()], column.type, f"{path}.{column.name}")
            for column in kind
            if column.name.lower() in told
        }

        def mask(event: Mapping[str, Any]) -> Mapping[str, Any]:
            by_name = ((name, masks.get(schemas.column_name(name)), value) for name, value in event.items())
            return {
                name: of_field(value) for name, of_field, value in by_name if of_field and value is not None
            }

        return mask

    def _of_map(self, told: Mapping[str, Any], kind: pa.MapType, path: str) -> Mask:
        masks = {name: self._mask(below, kind.item_type, f"{path}.{name}") for name, below in told.items()}
        return lambda values: {
            key: masks[key.lower()](value) for key, value in values.items() if key.lower() in masks
        }

    def _mask(self, told: Any, kind: pa.DataType, path: str) -> Mask:
        is_struct, is_map = pa.types.is_struct(kind), pa.types.is_map(kind)
        if isinstance(told, Mapping) and (is_struct or is_map):
            return (self.of_struct if is_struct else self._of_map)(told, kind, path)
        if told == _HASH and kind == pa.string():
            if self.salt is None:
                self.wrong.append(f"{path}: hash needs a salt; say --salt FILE")
            key = self.salt or b""
            return lambda text: hmac.new(key, text.encode(), hashlib.sha256).hexdigest().upper()
        if told != (_KEEP_ALL if is_struct or is_map else _KEEP):
            self.wrong.append(f"{path}: it is {_in_words(kind)}, got {told!r}")
        return _same


def _in_words(kind: pa.DataType) -> str:
    """Returns what a column is and what an allowlist may say of it."""
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        return f"{'a struct' if pa.types.is_struct(kind) else 'a map'}; expected keep_all or a mapping"
    return f"{schemas.hive_type(kind)}; expected {'keep or hash' if kind == pa.string() else 'keep'}"
