"""The wikis there are, from the table that Lift Wing's own servers carry (wikimedia/machinelearning-liftwing-inference-services, wikis.tsv)."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path


@cache
def known_wikis() -> frozenset[str]:
    """The database names of all wikis, closed ones included: their revisions can still be scored again."""
    with Path(__file__).with_name("wikis.tsv").open(encoding="utf-8", newline="") as table:
        return frozenset(row["database_code"] for row in csv.DictReader(table, delimiter="\t"))
