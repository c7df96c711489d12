"""What an answer of Lift Wing means: a score, or an error that says what may be done about its absence.

    LiftWingError
    ├── Rejected      the revision or the model will never score: 400, 404, 422, or a 200 without the score asked for
    ├── Unavailable   worth another try: 429, 502, 503, 504, connection, timeout, a 500 that speaks of MediaWiki or EventGate
    ├── Unexpected    any other 5xx: three tries
    └── NotCalled     no call went out, because of what the endpoint answered to others

The contract is that of wikimedia/machinelearning-liftwing-inference-services.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress

import orjson

from transforms.elements import Score, ScoreRequest
from transforms.http_calls import HttpAnswer
from transforms.kinds import Kind

_TRIES_OF_UNEXPECTED = 3
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 60.0
_LONGEST_EXCERPT = 500  # characters
_OF_ANOTHER_SERVICE = re.compile(rb"mediawiki|eventgate", re.IGNORECASE)
NOT_CALLED = "not called, because of what others got: "  # before that


class LiftWingError(Exception):
    """Lift Wing gave no score; the text says what it answered, `cause` its kind in one word for the metrics."""

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class Rejected(LiftWingError):
    """Trying again cannot help."""


class Unavailable(LiftWingError):
    """Worth another try, at the earliest after `retry_after_s` seconds."""

    def __init__(self, message: str, cause: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message, cause)
        self.retry_after_s = retry_after_s


class Unexpected(LiftWingError):
    """An error of which nothing is known."""


class NotCalled(LiftWingError):
    """The endpoint gets no calls for a while."""

    def __init__(self, last_error: str) -> None:
        super().__init__(f"{NOT_CALLED}{last_error}", "not_called")


def read_answer(answer: HttpAnswer, kind: Kind, requests: Sequence[ScoreRequest]) -> list[Score | LiftWingError]:
    """The score of each request of a call, or the error that says what may be done about its absence; raises one that is of all of them."""
    status = answer.status
    if answer.too_large:
        raise Rejected(f"{status}: {answer.error}", "too_large")
    if answer.error:
        raise Unavailable(f"no answer: {answer.error}", "timeout" if answer.timed_out else "connection")
    if status == 200:
        return _scores(answer.body, kind, requests)
    text = f"{status}: {_excerpt(answer.body)}"
    if status in (429, 502, 503, 504) or (status == 500 and _OF_ANOTHER_SERVICE.search(answer.body)):
        raise Unavailable(text, str(status), answer.retry_after_s)
    if status >= 500:
        raise Unexpected(text, str(status))
    raise Rejected(text, str(status))


def _scores(body: bytes, kind: Kind, requests: Sequence[ScoreRequest]) -> list[Score | LiftWingError]:
    try:
        results = kind.read(orjson.loads(body), requests)
    except (KeyError, TypeError, ValueError, IndexError) as error:  # orjson's too
        revisions = ", ".join(str(request.rev_id) for request in requests)
        raise Rejected(f"200 without the score of revision {revisions}: {_excerpt(body)}", "no_score") from error
    return [Rejected(f"200: {result[:_LONGEST_EXCERPT]}", "no_score") if isinstance(result, str) else result for result in results]


def _excerpt(body: bytes) -> str:
    """The message of an error body in either of Lift Wing's two shapes, else its beginning."""
    text = body[:2000].decode("utf-8", "replace")
    with suppress(orjson.JSONDecodeError):
        parsed = orjson.loads(body)
        if isinstance(parsed, dict):
            text = str(parsed.get("error") or parsed.get("detail") or text)
    return " ".join(text.split())[:_LONGEST_EXCERPT] or "(empty body)"


def seconds_to_next_try(error: LiftWingError, tries: int, age_s: float, max_age_s: float, uniform: Callable[[float, float], float]) -> float | None:
    """How long to leave a request alone that has been tried so often; None: there is no other try. `uniform` gives the jitter."""
    if isinstance(error, NotCalled):
        return 0.0 if age_s < max_age_s else None
    if isinstance(error, Rejected) or (isinstance(error, Unexpected) and tries >= _TRIES_OF_UNEXPECTED):
        return None
    backoff = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(tries - 1, 10)) * uniform(0.5, 1.0)
    wait = max(backoff, error.retry_after_s if isinstance(error, Unavailable) else 0.0)
    return wait if age_s + wait <= max_age_s else None
