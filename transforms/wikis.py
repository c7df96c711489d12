"""The wikis there are, from the table that Lift Wing's own servers carry (wikimedia/machinelearning-liftwing-inference-services, wikis.tsv)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path


@cache
def _languages() -> Mapping[str, str]:
    """By database name."""
    with Path(__file__).with_name("wikis.tsv").open(encoding="utf-8", newline="") as table:
        return {row["database_code"]: row["language_code"] for row in csv.DictReader(table, delimiter="\t")}


@cache
def known_wikis() -> frozenset[str]:
    """The database names of all wikis, closed ones included: their revisions can still be scored again."""
    return frozenset(_languages())


def language_of(wiki: str) -> str:
    """The code of its language, which its name does not always tell: zh_yuewiki is in yue."""
    return _languages()[wiki]
