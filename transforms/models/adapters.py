"""The kinds of models on Lift Wing: what each is asked, how its answer reads, and which event says it. A
model's entry names its kind.

The contracts are those of src/models/*/model_server in wikimedia/machinelearning-liftwing-inference-services.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

import schemas
from transforms.elements import Score, ScoreRequest
from transforms.events.score_events import ScoreStream, prediction_change, revision_score
from transforms.events.source_events import PAGE_CHANGE, REVISION_CREATE
from transforms.models.wikis import Wikis

_THRESHOLD = 0.5  # of outlink-topic-model's own events
_OUTLINK_VERSION = "alloutlinks_202209"  # its answers name none
_VERSION_UNKNOWN = "unknown"  # nor does the task generator's, whose version is its deployment's
_WITHOUT_PREDICTION = re.compile(r"for revision (\d+) ")

Question = Mapping[str, Any]
Results = Sequence[Score | str]  # of each request of a call, its score, or why it has none


@dataclass(frozen=True)
class ModelAdapter:
    """One kind. `read` gives a result for each request of a call, and raises KeyError, TypeError, ValueError
    or IndexError for what is no answer."""

    sources: tuple[str, ...]  # the kinds of events it can score
    ask: Callable[[ScoreRequest, Wikis], Question]
    read: Callable[[Any, Sequence[ScoreRequest]], Results]
    schema: str  # of the event, unless the models file names an older one
    # the score event, of a source event, its stream, a score, and the time now in ISO 8601
    build: Callable[[Mapping[str, Any], ScoreStream, Score, str], dict[str, Any]]
    max_batch_size: int = 1  # requests in a call, all of one language
    of_wikipedias: bool = False  # it scores no other wiki
    # it is asked by what the table of wikis says of a wiki: its language, or its address
    asks_by_table: bool = False

    def serves(self, wiki: str, wikis: Wikis) -> bool:
        """Whether a model of this kind for all wikis scores this one; one that is not in the table only if it
        can be asked without."""
        if not self.of_wikipedias:
            return True
        return wikis.language_of(wiki) is not None if wiki in wikis else not self.asks_by_table


class UnsupportedRequestError(ValueError):
    """The event does not say what a model is asked by."""


def _of_wikipedia(request: ScoreRequest, told: str | None) -> str:
    """What the table tells of the request's wiki."""
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


def _ask_revision(request: ScoreRequest, wikis: Wikis) -> Question:
    return {"rev_id": request.rev_id}


def _ask_revision_and_language(request: ScoreRequest, wikis: Wikis) -> Question:
    """src/models/revert_risk_model/model_server/base_model.py takes language codes alone, and makes addresses
    of them (python/config.yaml)."""
    return {"rev_id": request.rev_id, "lang": _of_wikipedia(request, wikis.language_of(request.wiki))}


def _ask_title(request: ScoreRequest, wikis: Wikis) -> Question:
    """src/models/article_country/model_server/utils.py asks https://{lang}.wikipedia.org."""
    return {
        "lang": _of_wikipedia(request, wikis.subdomain_of(request.wiki)),
        "title": _page(request, "page_title", str),
    }


def _ask_page(request: ScoreRequest, wikis: Wikis) -> Question:
    """src/models/outlink_topic_model/model_server/model.py finds the address by the `wiki_id`, in a table of
    its own."""
    return {
        "wiki_id": request.wiki,
        "page_id": _page(request, "page_id", int),
        "revision_id": request.rev_id,
        "threshold": 0.0,
    }


def _ask_with_event(request: ScoreRequest, wikis: Wikis) -> Question:
    """Its server also keeps what it finds, and tells the search index, but of an event alone."""
    return {"event": request.event.raw}


def _ask_as_instance(request: ScoreRequest, wikis: Wikis) -> Question:
    """src/models/articlequality/model_server/utils.py asks https://{lang}.wikipedia.org."""
    return {
        "instances": [
            {"rev_id": request.rev_id, "lang": _of_wikipedia(request, wikis.subdomain_of(request.wiki))}
        ]
    }


def _read_revscoring(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    (request,) = requests
    of_wiki = answer[request.wiki]
    score = of_wiki["scores"][str(request.rev_id)][request.model]["score"]
    return [Score(of_wiki["models"][request.model]["version"], score["prediction"], score["probability"])]


def _read_revert_risk(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    _check_revision(answer, requests)
    return [_revert_risk(answer)]


def _check_revision(answer: Any, requests: Sequence[ScoreRequest]) -> None:
    (request,) = requests
    if answer["revision_id"] != request.rev_id:
        raise ValueError(f"of revision {answer['revision_id']}")


def _revert_risk(told: Any) -> Score:
    output = told["output"]
    return Score(
        told["model_version"], output["prediction"], output.get("probabilities") or output["probability"]
    )


def _read_revert_risks(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    """Of a call with several: the scores, and for the others what is said of them."""
    scores = {told["revision_id"]: _revert_risk(told) for told in answer["predictions"]}
    errors = {
        int(match[1]): error
        for error in answer.get("errors", ())
        if (match := _WITHOUT_PREDICTION.search(error))
    }
    return [scores.get(request.rev_id) or errors[request.rev_id] for request in requests]


def _read_outlink_topics(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    probability = {told["topic"]: told["score"] for told in answer["prediction"]["results"]}
    return [
        Score(
            _OUTLINK_VERSION,
            [topic for topic, score in probability.items() if score > _THRESHOLD],
            probability,
        )
    ]


def _read_countries(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    """An article without a country has an event that says so."""
    probability = {told["country"]: told["score"] for told in answer["prediction"]["results"]}
    return [Score(answer["model_version"], list(probability), probability)]


def _read_tones(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    """Whether a paragraph of the page is in a tone that should be revised: the tag of the search index, with
    the highest of their scores."""
    _check_revision(answer, requests)
    scores = [told["score"] for told in answer["predictions"]]
    return [Score(_VERSION_UNKNOWN, ["exists"] if scores else [], {"exists": max(scores)} if scores else {})]


def _read_article_quality(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    (told,) = answer["predictions"]
    return [Score(answer["model_version"], told["label"], told["prediction_probabilities"])]


def request_body(kind: ModelAdapter, requests: Sequence[ScoreRequest], wikis: Wikis) -> bytes:
    """The body of a call. Raises UnsupportedRequestError."""
    asked = (
        kind.ask(requests[0], wikis)
        if kind.max_batch_size == 1
        else {"instances": [kind.ask(request, wikis) for request in requests]}
    )
    try:
        return orjson.dumps(asked, default=str)
    except TypeError as error:
        raise UnsupportedRequestError(f"{requests[0].model} cannot be asked in JSON: {error}") from error


_OF_PAGE_CHANGES: dict[str, Any] = {
    "sources": (PAGE_CHANGE,),
    "schema": schemas.PREDICTION_CHANGE,
    "build": prediction_change,
}
_OF_WIKIPEDIAS: dict[str, Any] = {**_OF_PAGE_CHANGES, "of_wikipedias": True, "asks_by_table": True}

KINDS: Mapping[str, ModelAdapter] = {
    "revscoring": ModelAdapter(
        (REVISION_CREATE, PAGE_CHANGE),
        _ask_revision,
        _read_revscoring,
        schemas.REVISION_SCORE,
        revision_score,
    ),
    "revertrisk": ModelAdapter(
        ask=_ask_revision_and_language, read=_read_revert_risks, max_batch_size=20, **_OF_WIKIPEDIAS
    ),
    "revertrisk-multilingual": ModelAdapter(
        ask=_ask_revision_and_language, read=_read_revert_risk, **_OF_WIKIPEDIAS
    ),
    "revertrisk-wikidata": ModelAdapter(ask=_ask_revision, read=_read_revert_risk, **_OF_PAGE_CHANGES),
    "outlink": ModelAdapter(ask=_ask_page, read=_read_outlink_topics, of_wikipedias=True, **_OF_PAGE_CHANGES),
    "article-country": ModelAdapter(ask=_ask_title, read=_read_countries, **_OF_WIKIPEDIAS),
    "revise-tone": ModelAdapter(
        ask=_ask_with_event, read=_read_tones, of_wikipedias=True, **_OF_PAGE_CHANGES
    ),
    "articlequality": ModelAdapter(ask=_ask_as_instance, read=_read_article_quality, **_OF_WIKIPEDIAS),
}
