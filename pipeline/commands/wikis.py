"""The command `wikis`: the table of wikis, the one in use or one that a wiki's `sitematrix` tells, in the
form that `wikis_file` of a models file takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from pipeline.config.overrides import load_with
from pipeline.config.shared_options import ModelsOptions
from pipeline.options import option
from pipeline.usage_error import UsageError
from transforms.http.user_agent import USER_AGENT
from transforms.models.wikis import COLUMNS, Wiki, Wikis, wiki_in

_QUERY = {
    "action": "sitematrix",
    "format": "json",
    "formatversion": "2",
    "smsiteprop": "url|dbname|code|lang",
    "smlangprop": "site|code",
    "smlimit": "5000",
}
_FAMILIES = {"wiki": "wikipedia"}  # the others are called as they are
_TIMEOUT_S = 30.0
_MOST_NAMED = 10


@dataclass(frozen=True, kw_only=True)
class Options(ModelsOptions):
    sitematrix: str | None = option(
        "--sitematrix",
        metavar="URL",
        help="api.php of a wiki that lists all of its farm (default: print the table in use)",
    )


def run(options: Options) -> int:
    """Prints the table; with `--sitematrix`, says on standard error what is new in it. Raises UsageError."""
    configuration = load_with(options.models, options.overrides)
    known = configuration.wikis
    wikis = Wikis(_ask(options.sitematrix)) if options.sitematrix else known
    print("\t".join(COLUMNS))
    for wiki in sorted(wikis):
        print("\t".join(wiki))
    if options.sitematrix:
        print(
            f"{len(wikis)} wikis; new: {_names(wikis.names - known.names)}; gone: "
            f"{_names(known.names - wikis.names)}",
            file=sys.stderr,
        )
    return 0


def _names(wikis: frozenset[str]) -> str:
    shown = ", ".join(sorted(wikis)[:_MOST_NAMED]) or "none"
    return shown if len(wikis) <= _MOST_NAMED else f"{shown} and {len(wikis) - _MOST_NAMED} more"


def _ask(url: str) -> list[Wiki]:
    try:
        answer = requests.get(url, params=_QUERY, headers={"User-Agent": USER_AGENT}, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return wikis_in(answer.json())
    except requests.RequestException as error:
        raise UsageError(
            f"--sitematrix: {url}: {error}; expected the api.php of a wiki, such as "
            "https://meta.wikimedia.org/w/api.php"
        ) from error
    except ValueError as error:
        raise UsageError(f"--sitematrix: {url}: {error}") from error


def wikis_in(answer: Any) -> list[Wiki]:
    """Returns the wikis in an answer of the module `sitematrix` (includes/ApiSiteMatrix.php of
    wikimedia/mediawiki-extensions-SiteMatrix). Raises ValueError."""
    matrix = answer.get("sitematrix") if isinstance(answer, Mapping) else None
    if not isinstance(matrix, Mapping):
        raise ValueError(f"expected a sitematrix, got {str(answer)[:200]}")
    if "query-continue" in answer:
        raise ValueError(
            f"expected the whole sitematrix, got {matrix.get('count')} wikis in more than one answer"
        )
    wikis = list(_sites(matrix))
    if not wikis:
        raise ValueError("expected a sitematrix of wikis, got none")
    return wikis


def _sites(matrix: Mapping[str, Any]) -> Iterator[Wiki]:
    for key, group in matrix.items():
        if key == "specials":
            yield from (_wiki(site, None) for site in _list(group))
        elif key != "count":
            sites, code = (
                (group.get("site"), group.get("code")) if isinstance(group, Mapping) else (group, None)
            )
            yield from (_wiki(site, code if isinstance(code, str) else None) for site in _list(sites))


def _list(sites: Any) -> list[Any]:
    return sites if isinstance(sites, list) else [sites]


def _wiki(site: Any, language: str | None) -> Wiki:
    """Returns the wiki of a site. Raises ValueError.

    `language`: the code of the group of its language, which its address may not tell; None: a special wiki,
    which says its language itself.
    """
    wiki = None
    if isinstance(site, Mapping):
        closed = site.get("closed", False) is not False  # "" in the first format version, true in the second
        group = _FAMILIES.get(str(site.get("code")), str(site.get("code") or ""))
        language_code = (language or str(site.get("lang"))).lower()
        wiki = wiki_in(
            {
                "database_code": site.get("dbname"),
                "domain_name": _host(site.get("url")),
                "language_code": language_code,
                "database_group": group,
                "status": "closed" if closed else "open",
            }
        )
    if wiki is None:
        raise ValueError(f"expected a wiki of the sitematrix, got {site!r:.200}")
    return wiki


def _host(url: Any) -> str | None:
    try:
        return urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        return None
