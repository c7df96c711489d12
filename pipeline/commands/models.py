"""The command `models`: every endpoint of a models file as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.config.overrides import did_you_mean, load_with
from pipeline.config.shared_options import SomeWikisOptions
from pipeline.console.columns import counted, print_columns
from pipeline.options import option
from pipeline.usage_error import UsageError
from transforms.models.adapters import KINDS
from transforms.models.model import ANY_WIKI, Configuration, Endpoint, Model
from transforms.models.rules import compile_rule
from transforms.models.wikis import Wikis

_HEADER = ("wiki", "model", "active", "on", "calls at once", "stream", "endpoint")


@dataclass(frozen=True, kw_only=True)
class Options(SomeWikisOptions):
    wiki: str | None = option("wiki", nargs="?", metavar="WIKI", help="only this wiki's")


def run(options: Options) -> int:
    """Prints one line per endpoint of all wikis or of one, and how many there are. Raises UsageError for a
    wiki without endpoints."""
    configuration = load_with(options.models, options.overrides)
    wiki = options.wiki
    rows = sorted(_rows(configuration, wiki))
    if not rows:
        wikis = {wiki for model in configuration.models.values() for wiki in model.endpoints} - {ANY_WIKI}
        if wiki in configuration.wikis and not wikis:
            raise UsageError(
                f"no model serves {wiki!r}: all are for the wikis that their rules (match) let in"
            )
        raise UsageError(
            f"no model serves {wiki!r}"
            + (did_you_mean(wiki or "", wikis) if wikis else "; expected a database name such as enwiki")
        )
    print_columns(_HEADER, rows)
    print(
        f"\n{counted(len(rows), 'endpoint')}, {sum(row[2] == 'yes' for row in rows)} active, called at "
        f"{configuration.lift_wing.url}"
    )
    return 0


def _serves(model: Model, endpoint: Endpoint, wiki: str | None, wikis: Wikis) -> bool:
    """Returns whether an endpoint is asked for a wiki, None being any: one of all wikis is for those that its
    kind and its model's rule let in."""
    if wiki is None or endpoint.wiki != ANY_WIKI:
        return wiki in (None, endpoint.wiki)
    of_wiki = {name: model.match[name] for name in ("wiki_id", "database") if name in model.match}
    is_let_in = wiki in wikis and wiki not in model.endpoints and KINDS[endpoint.kind].serves(wiki, wikis)
    return is_let_in and compile_rule(of_wiki, ())({"wiki_id": wiki, "database": wiki})


def _rows(configuration: Configuration, wiki: str | None) -> Iterator[tuple[str, ...]]:
    for model in configuration.models.values():
        for endpoint in model.endpoints.values():
            if _serves(model, endpoint, wiki, configuration.wikis):
                active = "yes" if endpoint.enabled else "no"
                yield (
                    endpoint.wiki,
                    model.name,
                    active,
                    endpoint.on,
                    str(endpoint.concurrency),
                    model.stream,
                    f"{endpoint.host}{endpoint.path}",
                )
