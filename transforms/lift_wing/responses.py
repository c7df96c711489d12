"""What an answer of Lift Wing means: a score, or an error that says what may be done about its absence.

    LiftWingError
    ├── Rejected      the revision will never score: a model server's 400, 404 or 422, a 413, or a 200 without
    │                 the score asked for
    ├── Refused       the endpoint refuses whoever asks: 401, 403, 421, no such model or route, a gateway's
    │                 other 3xx and 4xx, 501
    ├── Unavailable   worth another try: 408, 425, 429, 502, 503, 504, connection, timeout, an HTML page in
    │                 place of an answer, a 500 that tells of an outage of the wiki behind
    ├── Unexpected    any other 5xx, or a 200 that is no JSON: given up at the third, whatever outages are
    │                 between
    └── CallNotPermitted  no call went out, because of what the endpoint answered to others

The contract is that of wikimedia/machinelearning-liftwing-inference-services, kserve/kserve and the gateways
before them.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from transforms.elements import Score, ScoreRequest
from transforms.events.printable import in_one_line
from transforms.http.curl_client import HttpAnswer
from transforms.lift_wing.error_bodies import ErrorBody, read_error
from transforms.models.adapters import ModelAdapter

LONGEST_RETRY_AFTER_S = 300.0  # what a server asks for beyond that is not kept to
_LONGEST_EXCERPT = 500  # characters
_LARGEST_NUMBER = 2**53 - 1  # that the schemas take
_PASSING = frozenset([408, 409, 423, 425, 429, 499, 502, 503, 504, 509, *range(520, 528), 529, 530, 598, 599])
_REFUSING = frozenset(
    [
        401,
        402,
        403,
        405,
        406,
        407,
        411,
        412,
        414,
        415,
        417,
        421,
        426,
        428,
        431,
        451,
        501,
        505,
        506,
        508,
        510,
        511,
    ]
)
# what a reader raises on finding what it does not look for
_SHAPE_ERRORS = (KeyError, TypeError, ValueError, IndexError, AttributeError)
NOT_CALLED = "not called, because of what others got: "  # before that


class LiftWingError(Exception):
    """Lift Wing gave no score; the text says what it answered, `cause` its kind in one word for the
    metrics."""

    def __init__(self, message: str, cause: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.cause = cause
        # that the server wants to be left alone, within LONGEST_RETRY_AFTER_S
        self.retry_after_s = retry_after_s


class Rejected(LiftWingError):
    """Trying again cannot help."""


class Refused(LiftWingError):
    """The endpoint refuses whoever asks. The revision is not at fault, and waits for another configuration of
    the endpoint or the client."""

    of_all = False  # the client has seen that it refuses others too
    of_one = False  # the client has seen that it answers others


class Unavailable(LiftWingError):
    """Worth another try, at the earliest after `retry_after_s` seconds."""


class Unexpected(LiftWingError):
    """Any other 5xx, or a 200 that is no JSON. The cause is unknown; tried three times at most."""


class CallNotPermitted(LiftWingError):
    """The endpoint gets no calls for a while."""

    def __init__(self, last_error: str) -> None:
        super().__init__(f"{NOT_CALLED}{last_error}", "not_called")


def read_answer(
    answer: HttpAnswer, kind: ModelAdapter, requests: Sequence[ScoreRequest]
) -> list[Score | LiftWingError]:
    """Returns for each request of a call its score, or the error that says what may be done about its
    absence. Raises a LiftWingError that is of all of them, and nothing else."""
    try:
        if answer.error:
            raise _error_of_transport(answer)
        if answer.status == 200:
            return _scores(answer.body, kind, requests)
        raise _error_of_status(answer)
    except LiftWingError:
        raise
    except Exception as error:  # a fault of this code in one answer must end no other call
        raise Rejected(
            f"{answer.status}: {type(error).__name__} on reading the answer: {_excerpt(answer.body)}",
            "unforeseen",
        ) from error


def _error_of_transport(answer: HttpAnswer) -> LiftWingError:
    said = in_one_line(answer.error, _LONGEST_EXCERPT)
    if answer.too_large and answer.status == 200:
        return Rejected(f"200: {said}", "too_large")
    if answer.too_large:  # the body is not there, the status is
        return _error_of_status(answer)
    return Unavailable(f"no answer: {said}", "timeout" if answer.timed_out else "connection")


def _error_of_status(answer: HttpAnswer) -> LiftWingError:
    status, body = answer.status, read_error(answer.body)
    found = _kind_of_error(status, body)
    return found(f"{status}: {body.text}", str(status), min(answer.retry_after_s, LONGEST_RETRY_AFTER_S))


def _kind_of_error(status: int, body: ErrorBody) -> type[LiftWingError]:
    if status in _REFUSING or 300 <= status < 400:
        return Refused
    if status in _PASSING or body.tells_of_outage(status) or (status >= 500 and body.is_html):
        return Unavailable
    if not 400 <= status < 500:
        return Unexpected
    if status == 413 or (body.is_of_model and not (status in (404, 410) and body.knows_no_model)):
        return Rejected
    return Refused


def _scores(body: bytes, kind: ModelAdapter, requests: Sequence[ScoreRequest]) -> list[Score | LiftWingError]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        said = f"200 without JSON: {_excerpt(body)}"
        raise (
            Unavailable(said, "no_json") if read_error(body).is_html else Unexpected(said, "no_json")
        ) from error
    try:
        return [_checked(result) for result in kind.read(parsed, requests)]
    except _SHAPE_ERRORS as error:
        revisions = ", ".join(str(request.rev_id) for request in requests)
        raise Rejected(
            f"200 without the score of revision {revisions}: {_excerpt(body)}", "no_score"
        ) from error


def _checked(result: Score | str) -> Score | LiftWingError:
    """Returns a score, or the error that a reader found in its place. Raises ValueError for a score of which
    no event can be made."""
    if isinstance(result, str):
        return Rejected(f"200: {in_one_line(result, _LONGEST_EXCERPT)}", "no_score")
    prediction, probability = result.prediction, result.probability
    is_prediction = isinstance(prediction, bool | str) or (
        isinstance(prediction, list) and all(isinstance(each, str) for each in prediction)
    )
    if not (
        isinstance(result.model_version, str)
        and is_prediction
        and isinstance(probability, dict)
        and all(map(_is_number, probability.values()))
    ):
        raise ValueError("no score")
    return result


def _is_number(value: object) -> bool:
    """Returns whether the schemas take it: a bool is an int and no number, and NaN is not below anything."""
    return type(value) in (float, int) and abs(value) <= _LARGEST_NUMBER  # type: ignore[arg-type]


def _excerpt(body: bytes) -> str:
    return (
        in_one_line(body[: 4 * _LONGEST_EXCERPT].decode("utf-8", "replace"), _LONGEST_EXCERPT)
        or "(empty body)"
    )
