"""The newer models of the simulated Lift Wing, one service for all wikis each: what they are asked, and what
they answer.

As src/models/*/model_server in wikimedia/machinelearning-liftwing-inference-services: revertrisk answers
several questions of one language in one call, and says of each that it cannot answer why, beside the
predictions.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from runners.simulated_lift_wing.responses import InvalidInputError, json
from runners.simulated_lift_wing.scores import TOPICS, truth_of

VERSIONS = {
    "revertrisk-language-agnostic": "3",
    "revertrisk-multilingual": "4",
    "revertrisk-wikidata": "2",
    "article-country": "1",
    "articlequality_v2": "2",
}
COUNTRIES = ("France", "Japan", "Peru")
QUALITIES = ("B", "C", "FA", "GA", "Start", "Stub")
_MOST_INSTANCES = 20
_ASKED_BY = {
    "revise-tone-task-generator": ("event",),
    "outlink-topic-model": ("page_id",),
    "article-country": ("lang", "title"),
    "revertrisk-wikidata": ("rev_id",),
}

Question = dict[str, Any]


def questions(model: str, inputs: dict[str, Any]) -> list[Question]:
    """Returns what is asked in one call. Raises InvalidInputError."""
    found = inputs.get("instances", [inputs])
    if not isinstance(found, list) or not found or not all(isinstance(question, dict) for question in found):
        raise InvalidInputError("Expected a list of instances.")
    if "instances" in inputs and model not in ("revertrisk-language-agnostic", "articlequality_v2"):
        raise InvalidInputError("Missing rev_id or lang.")
    if len(found) > _MOST_INSTANCES:
        raise InvalidInputError(f"Batch size {len(found)} exceeds the maximum of {_MOST_INSTANCES}.")
    for question in found:
        for name in _ASKED_BY.get(model, ("rev_id", "lang")):
            if name not in question:
                raise InvalidInputError(f'Expected "{name}" in input data.')
        if model == "outlink-topic-model" and not question.keys() & {"lang", "wiki_id"}:
            raise InvalidInputError('Missing "lang" in input data.')
        if str(question.get("lang", "")).endswith("wiki"):
            raise InvalidInputError("Language field should not have a 'wiki' suffix")
    if len({question.get("lang") for question in found}) > 1:
        raise InvalidInputError("Expected instances of one language.")
    return found


def revision_of(question: Question) -> int:
    """Returns the revision that is asked for; for a page that is known by its title alone, a number of its
    own."""
    for name in ("rev_id", "revision_id"):
        if name in question:
            return int(question[name])
    if "event" in question:
        return int(question["event"]["revision"]["rev_id"])
    return zlib.crc32(str(question.get("title", question.get("page_id"))).encode())


def answer(model: str, asked: Sequence[Question], failing: set[int]) -> web.Response:
    """Returns the answer to a call; `failing`: revisions of it that cannot be scored."""
    if all(revision_of(question) in failing for question in asked):
        return json({"detail": "; ".join(_refused(question) for question in asked)}, 422)
    if model == "revertrisk-language-agnostic":
        told = {
            "predictions": [
                _risk(model, question) for question in asked if revision_of(question) not in failing
            ]
        }
        errors = [_refused(question) for question in asked if revision_of(question) in failing]
        return json({**told, "errors": errors} if errors else told)
    (question,) = asked
    return json(_single(model, question))


def _refused(question: Question) -> str:
    return (
        f"Could not make prediction for revision {revision_of(question)} "
        f"({question.get('lang', 'en')}). Reason: parent_revision_missing"
    )


def _single(model: str, question: Question) -> Any:
    answer_of = _ANSWERS.get(model)
    return answer_of(question) if answer_of else _risk(model, question)


def _outlink_topics(question: Question) -> Any:
    rev_id = revision_of(question)
    results = [
        {"topic": topic, "score": round(1 / (rank + 1 + rev_id % 2), 6)}
        for rank, topic in enumerate(TOPICS[:3])
    ]
    place = question.get("lang") or str(question["wiki_id"]).removesuffix("wiki").replace("_", "-")
    article = f"https://{place}.wikipedia.org/wiki?curid={question['page_id']}"
    return {"prediction": {"article": article, "results": results}}


def _tones(question: Question) -> Any:
    rev_id, event = revision_of(question), question["event"]
    found = [
        {"paragraph_index": index, "section_name": "LEAD", "text": "…", "score": 0.9 - 0.1 * index}
        for index in range(rev_id % 3)
    ]
    return {
        "page_id": event["page"]["page_id"],
        "wiki_id": event["wiki_id"],
        "revision_id": rev_id,
        "lang": "en",
        "predictions": found,
    }


def _countries(question: Question) -> Any:
    found = COUNTRIES[: revision_of(question) % 3]
    results = [{"country": country, "score": 0.5, "source": {}} for country in found]
    return {
        **_named("article-country"),
        "prediction": {"article": question["title"], "results": results},
    }


def _article_quality(question: Question) -> Any:
    label = QUALITIES[revision_of(question) % len(QUALITIES)]
    probabilities = {quality: 0.5 if quality == label else 0.1 for quality in QUALITIES}
    told = {"label": label, "score": 0.5, "prediction_probabilities": probabilities, "features": {}}
    return {"predictions": [told], **_named("articlequality_v2")}


_ANSWERS: Mapping[str, Callable[[Question], Any]] = {  # of those that do not answer as revertrisk does
    "outlink-topic-model": _outlink_topics,
    "revise-tone-task-generator": _tones,
    "article-country": _countries,
    "articlequality_v2": _article_quality,
}


def _named(model: str) -> dict[str, Any]:
    return {"model_name": model, "model_version": VERSIONS[model]}


def _risk(model: str, question: Question) -> dict[str, Any]:
    rev_id = revision_of(question)
    said = truth_of(model, rev_id)
    told = {**_named(model), "revision_id": rev_id}
    told["output"] = {"prediction": said["prediction"], "probabilities": said["probability"]}
    return told if model == "revertrisk-wikidata" else {**told, "wiki_db": f"{question['lang']}wiki"}
