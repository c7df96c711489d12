"""The wikis there are, from the table that Lift Wing's own servers carry (wikimedia/machinelearning-liftwing-inference-services, wikis.tsv)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_TEST_WIKIPEDIA = "testwiki"


@cache
def _table() -> Mapping[str, Mapping[str, str]]:
    """By database name."""
    with Path(__file__).with_name("wikis.tsv").open(encoding="utf-8", newline="") as table:
        return {row["database_code"]: row for row in csv.DictReader(table, delimiter="\t")}


@cache
def known_wikis() -> frozenset[str]:
    """The database names of all wikis, closed ones included: their revisions can still be scored again."""
    return frozenset(_table())


def language_of(wiki: str) -> str | None:
    """By which a model for all Wikipedias knows this one, which its name does not always tell: zh_yuewiki is yue. None for a wiki that is none: by
    its language it would be taken for the Wikipedia of that language."""
    if wiki == _TEST_WIKIPEDIA:
        return "test"
    row = _table().get(wiki, {})
    return row["language_code"] if row.get("database_group") == "wikipedia" else None
