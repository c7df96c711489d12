"""Reads the body of an error: who wrote it, Lift Wing's model server or a gateway before it, and whether the
wiki behind was away.

KServe's model servers answer with a JSON object that has `error` (kserve/errors.py) or `detail` (FastAPI).
Gateways do not: Envoy and Knative send plain text or nothing, Wikimedia's API gateway {"httpCode",
"httpReason"}, caches and load balancers HTML. The texts of the model servers are those of
wikimedia/machinelearning-liftwing-inference-services.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from transforms.events.printable import in_one_line

_LONGEST = 500  # characters that are kept
_LONGEST_READ = 4_000  # characters that are looked at
_HTML = re.compile(rb"\s*(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)
_OF_GATEWAYS = ("httpCode", "httpReason", "apiVersion")  # keys of Wikimedia's API gateway and of Kubernetes

_NO_SUCH_MODEL = re.compile(
    r"model\b.*\b(does not exist|not found|unknown)|(no such|unknown) (model|route)|no (matching "
    r")?route|^not found\.?$|default backend",
    re.IGNORECASE,
)

# What each model server says in a 500 when it could not ask the wiki.
_WIKI_FAILED = re.compile(
    "|".join(
        (
            "while fetching feature values from the MediaWiki API",  # revscoring
            # revertrisk, readability, reference-quality
            "while fetching info for revision from the MediaWiki API",
            "while trying to get outlinks from MW API",  # outlink
            "Failed to get wikidata item ID for article title:",  # article-country, as the next two
            "Failed to get wikibase entities for QID:",
            "Failed to generate list of all categories for the article title:",
            "Fetching html failed for the article revision with id:",  # articlequality, as the next one
            "Failed to get article revision with id:",
            r"Failed to fetch (?:revision content|metadata features) in ",  # revertrisk-wikidata
            "Failed to lookup Wikidata info",  # article-descriptions
            # what was given an event to score
            "to post the event to EventGate|while the event was posted to EventGate",
            r"media ?wiki|\bMW API\b|\beventgate\b",  # what they may say in a later version
        )
    ),
    re.IGNORECASE,
)
_LASTING = re.compile("does not contain all the data|posted to EventGate has been rejected", re.IGNORECASE)
_LASTING_REASON = re.compile(  # after "Reason: " in such a text: the wiki did answer, and will so again
    # without what the server needs
    r"'[^']*'$|\w+ index out of range|.*has no attribute|.*not (subscriptable|iterable)"
    r"|4(?!08|25|29)\d\d\b"
    # an error code of api.php
    r"|(?!maxlag|ratelimited|readonly|internal_api_error|cirrussearch|failed-save)[a-z][a-z0-9_-]*: .* -- "
)
_LASTING_STATUS = re.compile(r"\[4(?!08|25|29)\d\d\] ")  # of the wiki, before the text
# revscoring's 400 for whatever is raised there
_EXTRACTING = re.compile("Generic error while extracting features")
_NETWORK = re.compile(
    r"max retries|connection (refused|reset|aborted|error|timeout)|connectionerror|timed "
    r"out|timeout|cannot connect|disconnected|name resolution"
    r"|not decode as JSON|maxlag|ratelimited|readonly|internal_api_error|\b(429|50[0234])\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The body of an answer that is no score."""

    text: str  # what it says, in one line that may be shown
    is_of_model: bool  # a model server wrote it
    is_html: bool

    @property
    def knows_no_model(self) -> bool:
        """Whether a 404 with it is about the model or the way to it, and not about a revision."""
        return bool(_NO_SUCH_MODEL.search(self.text))

    def tells_of_outage(self, status: int) -> bool:
        """Returns whether the model server answers, but what it needs does not: the wiki's API, or
        EventGate."""
        if not self.is_of_model:
            return False
        if status == 400:
            return bool(_EXTRACTING.match(self.text) and _NETWORK.search(self.text))
        if status < 500 or not _WIKI_FAILED.search(self.text) or _LASTING.search(self.text):
            return False
        _, has_reason, reason = self.text.rpartition("Reason: ")
        return not _LASTING_STATUS.match(self.text) and not (has_reason and _LASTING_REASON.match(reason))


def read_error(body: bytes) -> ErrorBody:
    """Returns what the body of an error says. Never raises."""
    said = _said(body)
    text = said if said is not None else body[:_LONGEST_READ].decode("utf-8", "replace")
    return ErrorBody(
        in_one_line(text, _LONGEST) or "(empty body)", said is not None, bool(_HTML.match(body[:200]))
    )


def _said(body: bytes) -> str | None:
    """Returns the message of a model server; None when none wrote the body."""
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(parsed, dict) or any(key in parsed for key in _OF_GATEWAYS):
        return None
    said = parsed.get("error") or parsed.get("detail")
    if said is None:
        return None
    # a nested one has no str() for sure
    return said[:_LONGEST_READ] if isinstance(said, str) else body[:_LONGEST_READ].decode("utf-8", "replace")
