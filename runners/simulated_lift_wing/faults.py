"""What the simulated Lift Wing does instead of answering well: rules that a test or a demo sets while it
runs.

The texts are those of revscoring_model/model_servers/extractor_utils.py in
wikimedia/machinelearning-liftwing-inference-services, of kserve/kserve (errors.py) and of Envoy.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MODES = (
    "status",
    "slow",
    "hang",
    "drop",
    "garbage",
    "html",
    "redirect",
    "truncated",
    "huge",
    "empty",
    "other_revision",
    "mediawiki",
    "refuse",
)
_OF_SERVICE = ("status", "slow", "hang", "drop")  # may be of the service and not of an answer alone
GARBAGE = "<html><body>upstream said something else"
HTML = (
    "<!doctype html><html><head><title>Wikimedia Error</title></head><body>Our servers are currently "
    "under maintenance</body></html>"
)

UNKNOWN_REVISION = (
    "The MW API does not have any info related to the rev-id provided as input ({rev_id}), therefore it is "
    "not possible to "
    "extract features properly. One possible cause is the deletion of the page related to the revision id. "
    "Please contact the ML-Team if you need more info."
)
MEDIAWIKI_FAILED = (
    "An error happened while fetching feature values from the MediaWiki API, please contact "
    "the ML-Team if the issue persists."
)

# What each kind of model server says in a 500 while the wiki is away.
_REVISION_FAILED = (
    "An error happened while fetching info for revision from the MediaWiki API, please "
    "contact the ML-Team if the issue persists."
)
_AWAY = "503, message='Service Unavailable', url='https://{host}/w/api.php'"
_WIKI_AWAY = {
    "revertrisk-language-agnostic": _REVISION_FAILED,
    "revertrisk-multilingual": _REVISION_FAILED,
    "revertrisk-wikidata": "Error in preprocess for rev_id {rev_id}. Reason: Failed to fetch revision "
    "content in _get_revision_content for rev_id {rev_id}. "
    f"Reason: {_AWAY}",
    "outlink-topic-model": "An unexpected error has occurred while trying to get outlinks from MW API. "
    "Please contact the ML team for more info.",
    "article-country": f"Failed to get wikidata item ID for article title: Toni_Morrison. Reason: {_AWAY}",
    "articlequality_v2": "[503] Fetching html failed for the article revision with id: {rev_id}. Reason: "
    "Service Unavailable",
}


@dataclass
class Rule:
    """One behaviour and the calls it is for; None is any. `refuse` is for the other port, whoever calls
    there."""

    mode: str
    model: str | None = None
    wiki: str | None = None
    rev_id: int | None = None
    times: int | None = None  # calls of each (wiki, model, revision) that it is for; None: all of them
    status: int = 500
    body: Any = None  # text, or what becomes JSON; None: the real body of that status
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0  # of `slow`
    location: str = ""  # of `redirect`
    megabytes: int = 100  # of `huge`: as many of white space before a good answer
    chunked: bool = False  # `huge` without a Content-Length
    applied: Counter[tuple[str, str, int]] = field(default_factory=Counter, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {self.mode!r}")
        if self.mode == "redirect" and not self.location:
            raise ValueError("location: expected the address that `redirect` leads to, got nothing")

    def is_of_service(self, wiki: str, model: str) -> bool:
        """Returns whether the service itself is in this state, whatever it is asked."""
        of_one = (
            self.rev_id is not None
            or self.times is not None
            or self.model not in (None, model)
            or self.wiki not in (None, wiki)
        )
        return not of_one and self.mode in _OF_SERVICE

    def claim(self, wiki: str, model: str, rev_id: int) -> bool:
        """Counts a call where the rule is for some only; returns whether the rule is for it."""
        if (
            self.model not in (None, model)
            or self.wiki not in (None, wiki)
            or self.rev_id not in (None, rev_id)
        ):
            return False
        if self.times is None:
            return True
        call = (wiki, model, rev_id)
        self.applied[call] += 1
        return self.applied[call] <= self.times


_KEYS: dict[str, type | tuple[type, ...]] = {
    "mode": str,
    "model": str,
    "wiki": str,
    "rev_id": int,
    "times": int,
    "status": int,
    "body": object,
    "headers": dict,
    "seconds": (int, float),
    "location": str,
    "megabytes": int,
    "chunked": bool,
}


def rule(wanted: Any) -> Rule:
    """Reads the body of POST /control; null is the same as leaving the key out. Raises ValueError."""
    if not isinstance(wanted, dict) or "mode" not in wanted:
        raise ValueError("expected a JSON object with a mode")
    given = {key: value for key, value in wanted.items() if value is not None}
    for key, value in given.items():
        if key not in _KEYS:
            raise ValueError(f"{key}: unknown key")
        if not isinstance(value, _KEYS[key]):
            raise ValueError(f"{key}: unexpected {value!r}")
    return Rule(**given)


def wiki_away(model: str, rev_id: int) -> Any:
    """Returns what the server of this model says, with status 500, when it gets nothing from the wiki's
    API."""
    return {"error": _WIKI_AWAY.get(model, MEDIAWIKI_FAILED).format(rev_id=rev_id, host="en.wikipedia.org")}


def usual_body(status: int, name: str, rev_id: int) -> Any:
    """Returns what Lift Wing says with this status: text from its proxies, JSON from its model servers."""
    bodies: dict[int, Any] = {
        400: {"error": UNKNOWN_REVISION.format(rev_id=rev_id)},
        404: {"error": f"Model with name {name} does not exist."},
        422: {
            "detail": f"Could not make prediction for revision(s) {rev_id}. Reason: parent_revision_missing"
        },
        429: "Too Many Requests",
        500: {"error": MEDIAWIKI_FAILED},
        502: "Bad Gateway",
        503: "no healthy upstream",
        504: "upstream request timeout",
    }
    return bodies.get(status, "")
