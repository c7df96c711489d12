"""The kinds of models on Lift Wing: what each is asked, how its answer reads, and which event says it. A
model's entry names its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

import schemas
from transforms.elements import Score, ScoreRequest
from transforms.events.score_events import ScoreStream, prediction_change, revision_score
from transforms.events.source_events import PAGE_CHANGE, REVISION_CREATE
from transforms.models import model_inputs, model_outputs
from transforms.models.model_inputs import Question, UnsupportedRequestError
from transforms.models.model_outputs import Results
from transforms.models.wikis import Wikis


@dataclass(frozen=True)
class ModelAdapter:
    """One kind of model.

    `read` returns a result for each request of a call, out of the JSON of its answer, and raises KeyError,
    TypeError, ValueError or IndexError for what is no answer.
    """

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
        """Returns whether a model of this kind for all wikis scores this one; one that is not in the table of
        wikis only if it can be asked without."""
        if not self.of_wikipedias:
            return True
        return wikis.language_of(wiki) is not None if wiki in wikis else not self.asks_by_table


def request_body(kind: ModelAdapter, requests: Sequence[ScoreRequest], wikis: Wikis) -> bytes:
    """Returns the body of a call with these requests, all of one language. Raises UnsupportedRequestError."""
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
        model_inputs.ask_revision,
        model_outputs.read_revscoring,
        schemas.REVISION_SCORE,
        revision_score,
    ),
    "revertrisk": ModelAdapter(
        ask=model_inputs.ask_revision_and_language,
        read=model_outputs.read_revert_risks,
        max_batch_size=20,
        **_OF_WIKIPEDIAS,
    ),
    "revertrisk-multilingual": ModelAdapter(
        ask=model_inputs.ask_revision_and_language, read=model_outputs.read_revert_risk, **_OF_WIKIPEDIAS
    ),
    "revertrisk-wikidata": ModelAdapter(
        ask=model_inputs.ask_revision, read=model_outputs.read_revert_risk, **_OF_PAGE_CHANGES
    ),
    "outlink": ModelAdapter(
        ask=model_inputs.ask_page,
        read=model_outputs.read_outlink_topics,
        of_wikipedias=True,
        **_OF_PAGE_CHANGES,
    ),
    "article-country": ModelAdapter(
        ask=model_inputs.ask_title, read=model_outputs.read_countries, **_OF_WIKIPEDIAS
    ),
    "revise-tone": ModelAdapter(
        ask=model_inputs.ask_with_event, read=model_outputs.read_tones, of_wikipedias=True, **_OF_PAGE_CHANGES
    ),
    "articlequality": ModelAdapter(
        ask=model_inputs.ask_as_instance, read=model_outputs.read_article_quality, **_OF_WIKIPEDIAS
    ),
}
