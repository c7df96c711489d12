"""The scores of the simulated Lift Wing: a hash of (wiki, model, revision) made to look like a model's
answer.

Every process and every Python gives the same score, so a test knows the exact answer it must find in a
stream. Shapes are those of `get_output` in revscoring_model/model_servers/model_servers.py of
wikimedia/machinelearning-liftwing-inference-services; labels are those of the deployed models
(data/lift_wing_labels.yaml).
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parents[1] / "data"

Score = dict[str, Any]  # {"prediction": ..., "probability": {label: p}}


def _table(name: str) -> Any:
    return yaml.safe_load((DATA / name).read_text(encoding="utf-8"))


ENDPOINTS: dict[str, dict[str, Any]] = _table("lift_wing_endpoints.yaml")  # model: {namespace, wikis}
# The newer models, which serve all wikis.
NAMESPACES = {  # of each model's service
    "revertrisk-language-agnostic": "revertrisk",
    "revertrisk-multilingual": "revertrisk",
    "revertrisk-wikidata": "revertrisk",
    "outlink-topic-model": "articletopic-outlink",
    "article-country": "article-models",
    "articlequality_v2": "article-models",
    "revise-tone-task-generator": "revise-tone-task-generator",
}
SERVICES = {"articlequality_v2": "articlequality"}  # where its name is not the model's
_VERSIONS: dict[str, dict[str, str]] = _table("score_versions.yaml")
_LABELS: dict[str, Any] = _table("lift_wing_labels.yaml")
TOPICS: tuple[str, ...] = tuple(_LABELS["topics"])
_TOPIC_MODELS = ("articletopic", "drafttopic", "itemtopic")

# One byte of the digest makes one topic's probability; x**16 leaves 2 or 3 of the 64 topics above one half,
# and sometimes none.
_TOPIC_PROBABILITY = tuple(round(0.0001 + 0.9998 * (byte / 255) ** 16, 12) for byte in range(256))

_FEATURES = (
    "feature.wikitext.revision.chars",
    "feature.wikitext.revision.content_chars",
    "feature.wikitext.revision.ref_tags",
    "feature.wikitext.revision.wikilinks",
)


def version(wiki: str, model: str) -> str:
    """Returns the version that the answers of this model name; not the version of its binary."""
    return _VERSIONS.get(wiki, {}).get(model, "0.5.0")


def score(wiki: str, model: str, rev_id: int) -> Score:
    """Returns what Lift Wing would put under "score"."""
    digest = _digest(wiki, model, rev_id)
    if model in _TOPIC_MODELS:
        return _topics(digest)
    if model in _LABELS:
        return _one_of(_labels(wiki, model), digest)
    return _truth(digest, mostly=model == "goodfaith")


def truth_of(model: str, rev_id: int) -> Score:
    """Returns the verdict of a model that serves all wikis."""
    return _truth(_digest("*", model, rev_id), mostly=False)


def features(wiki: str, model: str, rev_id: int) -> dict[str, float]:
    """Returns what `extended_output` adds beside the score; a few of the some hundred features that a real
    model names."""
    return dict(zip(_FEATURES, map(float, _digest(wiki, model, rev_id)), strict=False))


def _digest(wiki: str, model: str, rev_id: int) -> bytes:
    """64 bytes: one for each topic. Python's own hash() differs from process to process."""
    return blake2b(f"{wiki} {model} {rev_id}".encode()).digest()


@cache
def _labels(wiki: str, model: str) -> tuple[str, ...]:
    labels = _LABELS[model]
    return tuple(labels.get(wiki, labels["default"]))


def _truth(digest: bytes, *, mostly: bool) -> Score:
    """Few edits do damage and most are made in good faith: about one in six gets the rarer verdict."""
    x = int.from_bytes(digest[:6], "big") / 2**48
    rarer = x * x * x * x
    true = 1.0 - rarer if mostly else rarer
    false = 1.0 - true
    return {"prediction": true > false, "probability": {"false": false, "true": true}}


def _one_of(labels: tuple[str, ...], digest: bytes) -> Score:
    weights = [(byte + 1) ** 2 for byte in digest[: len(labels)]]
    total = sum(weights)
    return {
        "prediction": labels[weights.index(max(weights))],
        "probability": {label: weight / total for label, weight in zip(labels, weights, strict=True)},
    }


def _topics(digest: bytes) -> Score:
    probability = {topic: _TOPIC_PROBABILITY[byte] for topic, byte in zip(TOPICS, digest, strict=True)}
    return {"prediction": [topic for topic, p in probability.items() if p > 0.5], "probability": probability}
