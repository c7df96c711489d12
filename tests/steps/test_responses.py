"""What answers mean: the texts of each model server and of the gateways before them, and answers that nobody
foresaw."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.support.events import edit
from transforms.elements import Score, ScoreRequest
from transforms.events.source_events import event_of
from transforms.http.curl_client import HttpAnswer
from transforms.lift_wing.responses import (
    CallNotPermitted,
    LiftWingError,
    Refused,
    Rejected,
    Unavailable,
    Unexpected,
    read_answer,
)
from transforms.lift_wing.retry_policy import LONGEST_REFUSED_S, Limits, seconds_to_next_try
from transforms.models.adapters import KINDS, ModelAdapter
from transforms.worker.environment import REAL

REVISION = 7
EVENT = event_of({**edit(rev_id=REVISION), "wiki_id": "enwiki"}, "eqiad")


def answered(
    status: int, body: Any, kind: str = "revscoring", model: str = "damaging", **more: Any
) -> Score | LiftWingError:
    text = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else orjson.dumps(body)
    request = ScoreRequest(EVENT, model)
    try:
        (result,) = read_answer(HttpAnswer(status, text, 0.1, 0.0, **more), KINDS[kind], [request])
    except LiftWingError as error:
        return error
    return result


def scored(**score: Any) -> dict[str, Any]:
    whole = {"prediction": True, "probability": {"true": 0.75, "false": 0.25}, **score}
    version = whole.pop("version", "0.5.0")
    return {
        "enwiki": {
            "models": {"damaging": {"version": version}},
            "scores": {str(REVISION): {"damaging": {"score": whole}}},
        }
    }


WIKI = "503, message='Service Unavailable', url='https://en.wikipedia.org/w/api.php'"
ML = "please contact the ML-Team if the issue persists."
WIKIDATA = f"Error in preprocess for rev_id {REVISION}. Reason: Failed to fetch"


@pytest.mark.parametrize(
    "said",
    [
        f"An error happened while fetching feature values from the MediaWiki API, {ML}",  # revscoring
        f"An error happened while fetching info for revision from the MediaWiki API, {ML}",  # revertrisk
        # outlink
        "An unexpected error has occurred while trying to get outlinks from MW API. Please contact the ML "
        "team for more info.",
        # article-country
        f"Failed to get wikidata item ID for article title: Reason: no-such. Reason: {WIKI}",
        "Failed to get wikibase entities for QID: Q42. Reason: Cannot connect to host www.wikidata.org:443 "
        "ssl:default [Connect call failed]",
        # a timeout says nothing
        "Failed to generate list of all categories for the article title: MediaWiki. Reason: ",
        "Failed to generate list of all categories for the article title: Q. Reason: ratelimited: You've "
        "exceeded your rate limit. -- See",
        "Failed to get wikidata item ID for article title: Q. Reason: internal_api_error_DBQueryError: "
        "[a8] Caught exception -- x",
        # articlequality
        f"[503] Fetching html failed for the article revision with id: {REVISION}. Reason: Service "
        "Unavailable",
        f"[429] Fetching html failed for the article revision with id: {REVISION}. Reason: Too Many Requests",
        f"Failed to get article revision with id: {REVISION}. Reason: ",
        # revertrisk-wikidata
        f"{WIKIDATA} revision content in _get_revision_content for rev_id {REVISION}. Reason: {WIKI}",
        f"{WIKIDATA} metadata features in _fetch_metadata_features for rev_id {REVISION}. Reason: Server "
        "disconnected",
        f"{WIKIDATA} revision content in _get_revision_content for rev_id {REVISION}. Reason: Could not "
        "decode as JSON: <html>",
        "RuntimeError : Connection error while trying to post the event to EventGate. Please contact the "
        "ML team if the issue persists.",
        "The Action API of MediaWiki did not answer in time",  # what a later version may say
    ],
)
def test_the_wiki_behind_is_away(said: str) -> None:
    error = answered(500, {"error": said})
    assert (type(error), str(error)) == (Unavailable, f"500: {said}".rstrip())


@pytest.mark.parametrize(
    "said",
    [
        "The rev-id doc retrieved from the MW API does not contain all the data needed to extract "
        f"features properly. {ML}",
        f"An error happened while scoring the revision-id, {ML}",
        "Failed to get geographic region. Reason: 'latitude'",
        "Failed to get wikidata item ID for article title: MediaWiki. Reason: 'list' object has no "
        "attribute 'get'",
        "Failed to generate list of all categories for the article title: A|B. Reason: invalidtitle: Bad "
        'title "A|B". -- See',
        f"[404] Fetching html failed for the article revision with id: {REVISION}. Reason: Not Found",
        f"Article with language en and revid {REVISION} has errors when preprocessing",
        f"{WIKIDATA} revision content in _get_revision_content for rev_id {REVISION}. Reason: 'revisions'",
        f"{WIKIDATA} metadata features in _fetch_metadata_features for rev_id {REVISION}. Reason: list "
        "index out of range",
        "RuntimeError : The event posted to EventGate has been rejected, please contact the ML team if the "
        "issue persists.",
        "KeyError : 'x'",
    ],
)
def test_the_server_or_the_revision_is_at_fault(said: str) -> None:
    error = answered(500, {"error": said})
    assert (type(error), str(error)) == (Unexpected, f"500: {said}")


def test_features_that_could_not_be_had_for_the_network() -> None:
    said = "Generic error while extracting features for rev-id 7: "
    assert (
        type(
            answered(
                400,
                {
                    "error": f"{said}HTTPSConnectionPool(host='en.wikipedia.org', port=443): Max retries "
                    "exceeded"
                },
            )
        )
        is Unavailable
    )
    assert type(answered(400, {"error": f"{said}'NoneType' object is not iterable"})) is Rejected


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, "Unauthorized"),  # Wikimedia's API gateway, to anonymous clients
        (401, {"httpCode": 401, "httpReason": "Jwt is expired"}),
        (403, "RBAC: access denied"),
        (403, "<html><title>Wikimedia Error</title>Please set a user-agent</html>"),
        (403, {"error": "Forbidden"}),
        (404, ""),  # Istio, of a host that it does not route
        (404, {"httpCode": 404, "httpReason": "Not Found"}),
        (404, {"error": "Model with name enwiki-damaging does not exist."}),
        (404, {"detail": "Not Found"}),  # FastAPI, of a path that it does not know
        (404, "<html><h1>404 Not Found</h1></html>"),
        (404, "default backend - 404"),
        (404, {"message": "no Route matched with those values"}),
        (405, {"detail": "Method Not Allowed"}),
        (400, "Client sent an HTTP request to an HTTPS server."),
        (400, "<html><h1>400 The plain HTTP request was sent to HTTPS port</h1></html>"),
        (400, {"httpCode": 400, "httpReason": "Bad Request"}),
        (407, ""),
        (421, ""),
        (422, "<html></html>"),
        (301, ""),
        (302, "<html>moved</html>"),
        (501, {"error": "Unsupported protocol v1."}),
    ],
)
def test_an_endpoint_refuses_whoever_asks(status: int, body: Any) -> None:
    error = answered(status, body)
    assert (type(error), error.cause) == (Refused, str(status))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((status, "") for status in (408, 425, 429, 502, 503, 504, 520, 524)),
        (503, {"error": "Model with name enwiki-damaging is not ready."}),
        (503, "upstream connect error or disconnect/reset before headers. reset reason: connection failure"),
        (500, "<!DOCTYPE html><title>Wikimedia Error</title>"),
        (200, "<html><body>Our servers are currently under maintenance</body></html>"),
    ],
)
def test_a_gateway_asks_for_patience(status: int, body: Any) -> None:
    assert type(answered(status, body)) is Unavailable


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": "The MW API does not have any info related to the rev-id provided as input (7)"}),
        (400, {"detail": "Cannot fetch revision 7 on en.wikipedia.org: MediaWiki API error 'nosuchrevid'."}),
        (404, {"detail": "Revision 7 not found"}),
        (413, "Request Entity Too Large"),
        (422, {"detail": [{"loc": ["body", "rev_id"], "msg": "value is not a valid integer"}]}),
        (418, {"error": "no"}),
    ],
)
def test_a_revision_will_never_score(status: int, body: Any) -> None:
    assert type(answered(status, body)) is Rejected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"7",
        b'{"error":' + b"[" * 1010 + b"]" * 1010 + b"}",
        b'{"error":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
        b'{"detail":"\\u001b]0;x\\u0007\\u009b2J\\u202e"}',
        b'{"error": 1e308, "detail": {}}',
        b'{"error": true}',
        b"[" * 5000,
    ],
)
@pytest.mark.parametrize("status", [200, 204, 400, 404, 418, 500, 503, 599, 600, 999])
def test_no_body_is_too_odd(status: int, body: bytes) -> None:
    error = answered(status, body)
    assert isinstance(error, LiftWingError)
    assert str(error).isprintable()
    assert len(str(error)) < 600


@pytest.mark.parametrize(
    "odd",
    [
        {"prediction": None},
        {"prediction": 1},
        {"prediction": {"a": 1}},
        {"prediction": [1]},
        {"probability": None},
        {"probability": []},
        {"probability": {"true": True}},
        {"probability": {"true": "0.5"}},
        {"probability": {"true": None}},
        {"probability": {"true": {"true": 1}}},
        {"version": 5},
        {"version": ["0.5"]},
    ],
)
def test_a_score_of_which_no_event_can_be_made(odd: dict[str, Any]) -> None:
    error = answered(200, scored(**odd))
    assert type(error) is Rejected
    assert str(error).startswith("200 without the score of revision 7: ")
    assert error.cause == "no_score"


def test_a_score() -> None:
    assert answered(200, scored()) == Score("0.5.0", True, {"true": 0.75, "false": 0.25})
    assert answered(200, scored(prediction=[], probability={})) == Score("0.5.0", [], {})


@pytest.mark.parametrize("body", ["", "NaN", '{"enwiki": 1e999}', '{"a": "\\ud800"}', "[" * 2000])
def test_a_good_status_without_json_is_tried_thrice(body: str) -> None:
    assert type(answered(200, body)) is Unexpected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "body",
    [
        None,
        True,
        7,
        b'"a"',
        [],
        [[]],
        {"enwiki": []},
        {"predictions": 7},
        {"predictions": [7]},
        {"prediction": {"results": [[1]]}},
    ],
)
def test_an_answer_of_another_shape(kind: str, body: Any) -> None:
    assert type(answered(200, body, kind)) is Rejected


def test_a_fault_on_reading_is_of_that_call_alone() -> None:
    class BrokenError(RuntimeError):
        def __str__(self) -> str:
            raise RecursionError

    def read(*_: Any) -> Any:
        raise BrokenError

    broken = ModelAdapter(
        KINDS["revscoring"].sources, KINDS["revscoring"].ask, read, "", KINDS["revscoring"].build
    )
    with pytest.raises(Rejected, match=r"^200: BrokenError on reading the answer: \{\}$") as raised:
        read_answer(HttpAnswer(200, b"{}", 0.1, 0.0), broken, [ScoreRequest(EVENT, "damaging")])
    assert raised.value.cause == "unforeseen"


def test_a_page_of_megabytes_is_known_by_its_status() -> None:
    too_large: dict[str, Any] = {"error": "Exceeded the maximum allowed file size", "too_large": True}
    assert type(answered(503, "", **too_large)) is Unavailable
    assert type(answered(403, "", **too_large)) is Refused
    assert type(answered(200, "", **too_large)) is Rejected


def test_a_server_cannot_ask_for_hours_of_patience() -> None:
    with pytest.raises(Unavailable) as raised:
        read_answer(HttpAnswer(503, b"", 0.1, 21_600.0), KINDS["revscoring"], [])
    assert raised.value.retry_after_s == 300


@pytest.mark.parametrize(
    ("error", "tries", "age_s", "between"),
    [
        (Rejected("404: gone", "404"), 1, 0, None),
        (Unavailable("503: down", "503"), 1, 0, (0.25, 0.5)),
        (Unavailable("503: down", "503"), 4, 0, (2, 4)),
        (Unavailable("503: down", "503"), 100, 0, (30, 60)),
        (Unavailable("429: slow down", "429", retry_after_s=90), 1, 0, (90, 90)),
        # once more, at the end of the age
        (Unavailable("429: slow down", "429", retry_after_s=90), 1, 511, (89, 89)),
        (Unavailable("429: slow down", "429", retry_after_s=300), 1, 599, (1, 1)),
        (Unavailable("503: down", "503"), 100, 600, None),
        (Unexpected("500: KeyError", "500"), 2, 0, (0.5, 1)),
        (Refused("401: no", "401"), 100, 3600, (30, 60)),
        (Refused("401: no", "401"), 100, LONGEST_REFUSED_S, None),
        (CallNotPermitted("x"), 0, 599, (0, 0)),
        (CallNotPermitted("x"), 0, 600, None),
    ],
)
def test_how_long_to_wait_for_another_try(
    error: LiftWingError, tries: int, age_s: float, between: tuple[float, float] | None
) -> None:
    waits = [seconds_to_next_try(error, tries, age_s, Limits(600, REAL)) for _ in range(100)]
    if between is None:
        assert set(waits) == {None}
    else:
        assert all(wait is not None and between[0] <= wait <= between[1] for wait in waits)
