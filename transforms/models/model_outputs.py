"""How the answer of each kind of model on Lift Wing reads: the score of each request of a call.

Each function raises KeyError, TypeError, ValueError or IndexError for what is no answer. The contracts are
those of src/models/*/model_server in wikimedia/machinelearning-liftwing-inference-services.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from transforms.elements import Score, ScoreRequest

_THRESHOLD = 0.5  # of outlink-topic-model's own events
_OUTLINK_VERSION = "alloutlinks_202209"  # its answers name none
_VERSION_UNKNOWN = "unknown"  # nor does the task generator's, whose version is its deployment's
_WITHOUT_PREDICTION = re.compile(r"for revision (\d+) ")

Results = Sequence[Score | str]  # of each request of a call, its score, or why it has none


def read_revscoring(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    (request,) = requests
    of_wiki = answer[request.wiki]
    score = of_wiki["scores"][str(request.rev_id)][request.model]["score"]
    return [Score(of_wiki["models"][request.model]["version"], score["prediction"], score["probability"])]


def read_revert_risk(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
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


def read_revert_risks(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    """Reads the scores of a call with several requests, and for those without one what is said of them."""
    scores = {told["revision_id"]: _revert_risk(told) for told in answer["predictions"]}
    errors = {
        int(match[1]): error
        for error in answer.get("errors", ())
        if (match := _WITHOUT_PREDICTION.search(error))
    }
    return [scores.get(request.rev_id) or errors[request.rev_id] for request in requests]


def read_outlink_topics(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    probability = {told["topic"]: told["score"] for told in answer["prediction"]["results"]}
    return [
        Score(
            _OUTLINK_VERSION,
            [topic for topic, score in probability.items() if score > _THRESHOLD],
            probability,
        )
    ]


def read_countries(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    """Reads the countries of an article; one without any has an event that says so."""
    probability = {told["country"]: told["score"] for told in answer["prediction"]["results"]}
    return [Score(answer["model_version"], list(probability), probability)]


def read_tones(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    """Reads whether a paragraph of the page is in a tone that should be revised: the tag of the search index,
    with the highest of their scores."""
    _check_revision(answer, requests)
    scores = [told["score"] for told in answer["predictions"]]
    return [Score(_VERSION_UNKNOWN, ["exists"] if scores else [], {"exists": max(scores)} if scores else {})]


def read_article_quality(answer: Any, requests: Sequence[ScoreRequest]) -> Results:
    (told,) = answer["predictions"]
    return [Score(answer["model_version"], told["label"], told["prediction_probabilities"])]
