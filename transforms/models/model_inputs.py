"""What each kind of model on Lift Wing is asked: the body of a call, out of a request.

The contracts are those of src/models/*/model_server in wikimedia/machinelearning-liftwing-inference-services.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.elements import ScoreRequest
from transforms.models.wikis import Wikis

Question = Mapping[str, Any]  # what becomes JSON


class UnsupportedRequestError(ValueError):
    """An event that does not say what a model is asked by."""


def _of_wikipedia(request: ScoreRequest, told: str | None) -> str:
    """Returns what the table of wikis says of the request's wiki. Raises UnsupportedRequestError where that
    is nothing."""
    if told is None:
        raise UnsupportedRequestError(
            f"{request.model} serves Wikipedias, of which {request.wiki} is none in the table of wikis"
        )
    return told


def _page(request: ScoreRequest, name: str, kind: type) -> Any:
    page = request.event.raw.get("page")
    value = page.get(name) if isinstance(page, dict) else None
    if type(value) is not kind:
        raise UnsupportedRequestError(
            f"{request.model} is asked by page.{name}, of which the event says "
            f"{'nothing' if value is None else repr(value)[:100]}"
        )
    return value


def ask_revision(request: ScoreRequest, wikis: Wikis) -> Question:
    """Asks by the revision alone."""
    return {"rev_id": request.rev_id}


def ask_revision_and_language(request: ScoreRequest, wikis: Wikis) -> Question:
    """Asks by language code: src/models/revert_risk_model/model_server/base_model.py takes no others, and
    makes addresses of them (python/config.yaml)."""
    return {"rev_id": request.rev_id, "lang": _of_wikipedia(request, wikis.language_of(request.wiki))}


def ask_title(request: ScoreRequest, wikis: Wikis) -> Question:
    """Asks by title: src/models/article_country/model_server/utils.py asks https://{lang}.wikipedia.org."""
    return {
        "lang": _of_wikipedia(request, wikis.subdomain_of(request.wiki)),
        "title": _page(request, "page_title", str),
    }


def ask_page(request: ScoreRequest, wikis: Wikis) -> Question:
    """Asks by page: src/models/outlink_topic_model/model_server/model.py finds the address by the `wiki_id`,
    in a table of its own."""
    return {
        "wiki_id": request.wiki,
        "page_id": _page(request, "page_id", int),
        "revision_id": request.rev_id,
        "threshold": 0.0,
    }


def ask_with_event(request: ScoreRequest, wikis: Wikis) -> Question:
    """Asks by the whole event: the server also stores what it finds, and tells the search index, but only
    then."""
    return {"event": request.event.raw}


def ask_as_instance(request: ScoreRequest, wikis: Wikis) -> Question:
    """Asks for one instance: src/models/articlequality/model_server/utils.py asks
    https://{lang}.wikipedia.org."""
    return {
        "instances": [
            {"rev_id": request.rev_id, "lang": _of_wikipedia(request, wikis.subdomain_of(request.wiki))}
        ]
    }
