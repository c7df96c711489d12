"""What the event of a model's stream says, of either kind, for people and for audits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Prediction(NamedTuple):
    """What a model predicts of a revision, in the words of either kind of event."""

    model_version: str
    predictions: list[str]  # labels; "true" or "false" of a model that has no others
    probabilities: Mapping[str, float]  # by label


def read_prediction(event: Mapping[str, Any], model: str) -> Prediction:
    """Returns what an event of a model's stream says."""
    if "scores" in event:
        score = event["scores"][model]
        return Prediction(score["model_version"], score["prediction"], score["probability"])
    predicted = event["predicted_classification"]
    return Prediction(predicted["model_version"], predicted["predictions"], predicted["probabilities"])


def format_prediction(said: Prediction) -> str:
    """Returns a prediction with its probability for people to read, such as: false (true 0.012)."""
    told = ", ".join(said.predictions) or "nothing"
    if "true" in said.probabilities:
        return f"{told} (true {said.probabilities['true']:.3f})"
    likely = max(said.probabilities.items(), key=lambda item: item[1], default=None)
    return f"{told} ({likely[0]} {likely[1]:.3f})" if likely else told
