"""The command `models`: every endpoint of a models file as a table."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pipeline.columns import print_columns
from pipeline.narrowing import did_you_mean
from pipeline.wrong_use import WrongUse
from transforms.models import Configuration

_HEADER = ("wiki", "model", "active", "on", "calls at once", "stream", "endpoint")


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Prints one line per endpoint of all wikis or of one, and how many there are. Raises WrongUse for a wiki without endpoints."""
    wiki: str | None = arguments.wiki
    rows = sorted(_rows(configuration, wiki))
    if not rows:
        wikis = {wiki for model in configuration.models.values() for wiki in model.endpoints}
        raise WrongUse(f"no model serves {wiki!r}{did_you_mean(wiki or '', wikis)}")
    print_columns(_HEADER, rows)
    print(f"\n{len(rows)} endpoints, {sum(row[2] == 'yes' for row in rows)} active, called at {configuration.lift_wing.url}")
    return 0


def _rows(configuration: Configuration, wiki: str | None) -> Iterator[tuple[str, ...]]:
    for model in configuration.models.values():
        for endpoint in model.endpoints.values():
            if wiki in (None, endpoint.wiki):
                active = "yes" if endpoint.enabled else "no"
                yield endpoint.wiki, model.name, active, endpoint.on, str(endpoint.concurrency), model.stream, f"{endpoint.host}{endpoint.path}"
