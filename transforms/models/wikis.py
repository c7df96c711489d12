"""The wikis there are: under which database name, at which address, in which language.

The shipped table is the one that Lift Wing's own servers carry (src/models/revert_risk_model/data/wikis.tsv
of wikimedia/machinelearning-liftwing-inference-services), with what dblists/all.dblist and closed.dblist of
wikimedia/operations-mediawiki-config had beside it on 2026-08-13. A models file can name a newer one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

COLUMNS = ("database_code", "domain_name", "language_code", "database_group", "status")
_DATABASE = re.compile(r"[a-z0-9_]+")  # safe in a host and in a URL as it is
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_LANGUAGE = re.compile(r"[a-z0-9-]+")
_OF_WIKIPEDIA = ".wikipedia.org"
_TEST_WIKIPEDIA = "testwiki"  # Lift Wing takes its language for en, and its address is its own


class Wiki(NamedTuple):
    """A row of the table."""

    database: str
    domain: str
    language: str
    group: str  # wikipedia, wiktionary, commons
    status: str  # open or closed; revisions of a closed one can still be scored again


class Wikis:
    """A table of wikis, never changed. The shipped one travels by name, as it is everywhere."""

    def __init__(self, rows: Iterable[Wiki]) -> None:
        self._rows = {row.database: row for row in rows}

    def __contains__(self, wiki: object) -> bool:
        return wiki in self._rows

    def __iter__(self) -> Iterator[Wiki]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Wikis) and self._rows == other._rows)

    def __hash__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Wikis({len(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (shipped_wikis, ()) if self is shipped_wikis() else (Wikis, (tuple(self),))

    @property
    def names(self) -> frozenset[str]:
        """The database names."""
        return frozenset(self._rows)

    def language_of(self, wiki: str) -> str | None:
        """Returns the language code of a Wikipedia, which its name does not always tell: zh_yuewiki is yue.
        None for other wikis, which would be taken for the Wikipedia of their language."""
        return "test" if wiki == _TEST_WIKIPEDIA else row.language if (row := self._wikipedia(wiki)) else None

    def subdomain_of(self, wiki: str) -> str | None:
        """Returns what stands before .wikipedia.org in the address of a Wikipedia, which is not always its
        language: zh_yuewiki is at zh-yue. None for other wikis."""
        return (
            "test"
            if wiki == _TEST_WIKIPEDIA
            else row.domain.removesuffix(_OF_WIKIPEDIA)
            if (row := self._wikipedia(wiki))
            else None
        )

    def _wikipedia(self, wiki: str) -> Wiki | None:
        row = self._rows.get(wiki)
        return row if row and row.group == "wikipedia" and row.domain.endswith(_OF_WIKIPEDIA) else None


class WikisError(ValueError):
    """A table that cannot be used; the message says which line, what it has and what it should have."""


def read_wikis(file: Path) -> Wikis:
    """Returns the table in a file with tabs between the columns. Raises WikisError."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            if missing := set(COLUMNS) - set(table.fieldnames or ()):
                raise WikisError(
                    f"{file}: expected columns {', '.join(COLUMNS)}, got none called "
                    f"{', '.join(sorted(missing))}; {_REPAIR}"
                )
            return Wikis(list(_rows(file, table)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WikisError(f"{file}: cannot be read: {error}; {_REPAIR}") from error


_REPAIR = "`revision-scores wikis --sitematrix https://meta.wikimedia.org/w/api.php` prints such a table"


def _rows(file: Path, table: Iterable[Mapping[str, object]]) -> Iterator[Wiki]:
    seen: set[str] = set()
    for number, row in enumerate(table, 2):
        wiki = wiki_in(row)
        if wiki is None:
            raise WikisError(
                f"{file}: line {number}: expected a database, its domain and language, open or closed, got "
                f"{list(row.values())!r:.200}; {_REPAIR}"
            )
        if wiki.database in seen:
            raise WikisError(
                f"{file}: line {number}: expected each wiki once, got {wiki.database} again; remove it"
            )
        seen.add(wiki.database)
        yield wiki
    if not seen:
        raise WikisError(f"{file}: expected at least one wiki, got none; {_REPAIR}")


def wiki_in(row: Mapping[str, object]) -> Wiki | None:
    """Returns the wiki of a row, by the names of its columns; None when one of them has no such value."""
    database, domain, language, group, status = (str(row.get(column) or "") for column in COLUMNS)
    known = (
        _DATABASE.fullmatch(database)
        and _DOMAIN.fullmatch(domain)
        and _LANGUAGE.fullmatch(language)
        and group.strip() == group != ""
        and status in ("open", "closed")
    )
    return Wiki(database, domain, language, group, status) if known else None


@cache
def shipped_wikis() -> Wikis:
    """Returns the table that comes with the program."""
    return read_wikis(Path(__file__).with_name("wikis.tsv"))
