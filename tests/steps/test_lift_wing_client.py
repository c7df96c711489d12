"""The calls to Lift Wing: each row of what its answers mean, against a server that gives them. No Beam."""

from __future__ import annotations

import queue
import re
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from pipeline.process.child_process import free_port
from runners.simulated_lift_wing.faults import GARBAGE, HTML, MEDIAWIKI_FAILED, UNKNOWN_REVISION
from runners.simulated_lift_wing.server import SimulatedLiftWing, score, version
from tests.support.certificates import self_signed
from tests.support.lift_wing import DAMAGING, MODELS, PATIENCE_S, REVISION, asked, request_of
from tests.support.loopback import Handler, LoopbackServer
from transforms.delivery.waiting_deliveries import MOST_WAITING, waiting_deliveries
from transforms.elements import Score
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.client import ClientError, LiftWingClient
from transforms.lift_wing.process_bulkheads import ModelStats
from transforms.lift_wing.responses import CallNotPermitted, Refused, Rejected, Unavailable, Unexpected
from transforms.lift_wing.shared_client import SharedClient
from transforms.models.model import Endpoint, LiftWingSettings

GOODFAITH = MODELS["goodfaith"].endpoints["enwiki"]
ENTERED_AT = 1_700_000_000.0

Open = Callable[..., LiftWingClient]


@pytest.fixture
def opened(lift_wing: SimulatedLiftWing) -> Iterator[Open]:
    """Opens connections to the simulated Lift Wing, or elsewhere, and closes them at the end."""
    all_opened: list[LiftWingClient] = []

    def open_lift_wing(**settings: Any) -> LiftWingClient:
        all_opened.append(
            LiftWingClient(replace(LiftWingSettings(lift_wing.url, timeout_s=5, max_age_s=60), **settings))
        )
        return all_opened[-1]

    yield open_lift_wing
    for each in all_opened:
        each.close()


def admit(lift_wing: LiftWingClient, endpoint: Endpoint, counted: int = 0) -> float:
    return lift_wing.admission.admit(endpoint, ENTERED_AT, counted > 0, counted)


def answer(lift_wing: LiftWingClient, rev_id: int = REVISION, endpoint: Endpoint = DAMAGING) -> CallResult:
    return asked(lift_wing, rev_id, endpoint).result(PATIENCE_S)


def good(rev_id: int = REVISION, endpoint: Endpoint = DAMAGING) -> Score:
    said = score(endpoint.wiki, endpoint.model, rev_id)
    return Score(version(endpoint.wiki, endpoint.model), said["prediction"], said["probability"])


def error(found: CallResult) -> tuple[type[object], str]:
    return type(found.result), str(found.result)


def calls(server: SimulatedLiftWing, rev_id: int = REVISION, endpoint: Endpoint = DAMAGING) -> int:
    return server.calls().get((endpoint.model, endpoint.wiki, rev_id), 0)


def wait_until(fact: Callable[[], bool]) -> None:
    until = monotonic() + PATIENCE_S
    while not fact():
        assert monotonic() < until


def wait_for_calls(server: SimulatedLiftWing, count: int, endpoint: Endpoint) -> None:
    """Returns when the server holds so many calls for certain."""
    until = monotonic() + PATIENCE_S
    while server.stats()["calls"].get(endpoint.model, {}).get("in_flight", 0) < count:
        assert monotonic() < until


# A score


@pytest.mark.parametrize(
    "endpoint",
    [next(iter(model.endpoints.values())) for model in MODELS.values()],
    ids=lambda endpoint: endpoint.name,
)
def test_each_model_gives_its_score(lift_wing: SimulatedLiftWing, opened: Open, endpoint: Endpoint) -> None:
    assert answer(opened(), endpoint=endpoint).result == good(endpoint=endpoint)
    assert lift_wing.calls() == {(endpoint.model, endpoint.wiki, REVISION): 1}


def test_the_time_of_a_call_is_told(opened: Open, lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="slow", seconds=0.3)
    assert 0.3 <= answer(opened()).seconds < 5


def test_a_path_in_the_address_stays(opened: Open, lift_wing: SimulatedLiftWing) -> None:
    assert error(answer(opened(url=f"{lift_wing.url}/service/"))) == (Refused, "404: Not Found")


# No score, and another try cannot help


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, UNKNOWN_REVISION.format(rev_id=REVISION)),
        (422, "Could not make prediction for revision(s) 7. Reason: parent_revision_missing"),
    ],
)
def test_the_revision_is_at_fault(lift_wing: SimulatedLiftWing, opened: Open, status: int, said: str) -> None:
    lift_wing.control(mode="status", status=status)
    assert error(answer(opened())) == (Rejected, f"{status}: {said}")
    assert calls(lift_wing) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "(empty body)"),
        ("\x1b[2J\x9b", "\\u001b[2J\\u009b"),
        ("  one\n two\t", "one two"),
        ({"error": "no"}, "no"),
        ({"detail": ["a"]}, '{"detail":["a"]}'),
        ({"error": None, "x": 1}, '{"error":null,"x":1}'),
        ([1], "[1]"),
        ("x" * 9000, "x" * 500),
    ],
)
def test_the_reason_is_what_the_body_says(
    lift_wing: SimulatedLiftWing, opened: Open, body: Any, said: str
) -> None:
    lift_wing.control(mode="status", status=500, body=body)
    assert error(answer(opened())) == (Unexpected, f"500: {said}")


def test_a_redirect_is_not_followed(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    with SimulatedLiftWing() as elsewhere:
        lift_wing.control(mode="redirect", location=f"{elsewhere.url}/v1/models/enwiki-damaging:predict")
        assert error(answer(opened())) == (Refused, "302: (empty body)")
        assert elsewhere.calls() == {}


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_of_a_hundred_megabytes_is_not_read(
    lift_wing: SimulatedLiftWing, opened: Open, chunked: bool
) -> None:
    lift_wing.control(mode="huge", chunked=chunked)
    found = answer(opened()).result
    assert isinstance(found, Rejected)
    assert (found.cause, calls(lift_wing)) == ("too_large", 1)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("empty", '{"enwiki":{"models":{"damaging":{"version":"0.5.1"}},"scores":{}}}'),
        (
            "other_revision",
            '{"enwiki":{"models":{"damaging":{"version":"0.5.1"}},"scores":{"8":{"damaging":{"score":',
        ),
    ],
)
def test_a_good_status_without_the_score(
    lift_wing: SimulatedLiftWing, opened: Open, mode: str, said: str
) -> None:
    lift_wing.control(mode=mode)
    kind, text = error(answer(opened()))
    assert (kind, calls(lift_wing)) == (Rejected, 1)
    assert text.startswith(f"200 without the score of revision 7: {said}")


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        '"enwiki"',
        '{"enwiki": 7}',
        '{"enwiki": {"scores": {"7": {"damaging": {"score": null}}}, "models": {}}}',
    ],
)
def test_a_good_status_with_anything_else(lift_wing: SimulatedLiftWing, opened: Open, body: str) -> None:
    lift_wing.control(mode="status", status=200, body=body)
    assert error(answer(opened()))[0] is Rejected


# No score, as nobody gets one


def test_no_such_model(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="status", status=404)
    assert error(answer(opened())) == (Refused, "404: Model with name enwiki-damaging does not exist.")


# No score, and another try may help


@pytest.mark.parametrize(("mode", "said"), [("garbage", GARBAGE), ("html", HTML)])
def test_a_page_in_place_of_an_answer(
    lift_wing: SimulatedLiftWing, opened: Open, mode: str, said: str
) -> None:
    lift_wing.control(mode=mode)
    assert error(answer(opened())) == (Unavailable, f"200 without JSON: {said}")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (429, "Too Many Requests"),
        (502, "Bad Gateway"),
        (503, "no healthy upstream"),
        (504, "upstream request timeout"),
        (500, MEDIAWIKI_FAILED),
    ],
)
def test_a_passing_fault(lift_wing: SimulatedLiftWing, opened: Open, status: int, said: str) -> None:
    lift_wing.control(mode="status", status=status, headers={"Retry-After": "7"})
    found = answer(opened()).result
    assert isinstance(found, Unavailable)
    assert (str(found), found.cause, found.retry_after_s) == (f"{status}: {said}", str(status), 7.0)
    assert calls(lift_wing) == 1


def test_an_error_of_which_nothing_is_known(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="status", status=500, body={"error": "KeyError : 'x'"})
    assert error(answer(opened())) == (Unexpected, "500: KeyError : 'x'")


@pytest.mark.parametrize("mode", ["drop", "truncated"])
def test_a_dropped_connection(lift_wing: SimulatedLiftWing, opened: Open, mode: str) -> None:
    lift_wing.control(mode=mode)
    found = answer(opened()).result
    assert isinstance(found, Unavailable)
    assert (found.cause, str(found)[:11]) == ("connection", "no answer: ")


def test_a_call_that_hangs_ends_with_its_time(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="hang")
    found = answer(opened(timeout_s=0.3)).result
    assert isinstance(found, Unavailable)
    assert found.cause == "timeout"
    assert str(found).startswith("no answer: Operation timed out after 3")
    assert calls(lift_wing) == 1


def test_a_port_where_nobody_listens(opened: Open) -> None:
    kind, said = error(answer(opened(url=f"http://127.0.0.1:{free_port()}")))
    assert kind is Unavailable
    assert said.startswith("no answer: Failed to connect to 127.0.0.1")


def test_a_model_may_be_served_elsewhere(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw = opened(url=f"http://127.0.0.1:{free_port()}")
    assert answer(lw, endpoint=replace(DAMAGING, url=lift_wing.url)).result == good()


# Who asks


class _Door(Handler):
    def do_POST(self) -> None:  # noqa: N802 (the name that http.server calls)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server_of.seen.append((self.headers["Authorization"], self.headers["User-Agent"]))
        self.send_response(204)
        self.end_headers()


class Door(LoopbackServer):
    """Notes who asks."""

    handler, path = _Door, ""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str]] = []
        super().__init__()


def test_a_token_is_read_again_when_its_file_changes(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    with Door() as door:
        lw = opened(url=door.url, token_file=str(file), token="other")
        for content in ("one\n", "two", "  three  ", "", "no\nheader: x", None, "four"):
            if content is None:
                file.unlink()
            else:
                new = tmp_path / "new"
                new.write_text(content)
                new.rename(file)
            answer(lw)
    assert [token for token, _ in door.seen] == [
        "Bearer one",
        "Bearer two",
        *["Bearer three"] * 4,
        "Bearer four",
    ]
    assert "three" not in caplog.text
    assert caplog.text.count("token file") == 2  # two states


def test_whoever_asks_names_a_contact(opened: Open) -> None:
    home = "https://gitlab.wikimedia.org/repos/machine-learning/revision-scores"
    with Door() as door:
        answer(opened(url=door.url))
        answer(opened(url=door.url, contact="me@example.org"))
    (nobody, plain), (_, named) = door.seen
    assert nobody is None
    assert re.fullmatch(rf"revision-scores/[0-9.]+ \({home}\) libcurl/[0-9.]+", plain)
    assert re.fullmatch(rf"revision-scores/[0-9.]+ \({home}; me@example.org\) libcurl/[0-9.]+", named)


# An endpoint that is broken


def test_an_endpoint_that_only_fails_gets_a_probe_now_and_then(
    lift_wing: SimulatedLiftWing, opened: Open
) -> None:
    lift_wing.control(mode="status", status=503, model="damaging")
    lw, one = opened(), replace(DAMAGING, concurrency=1)
    found = [asked(lw, rev_id, one) for rev_id in range(20)]
    kinds = [error(future.result(PATIENCE_S)) for future in found]
    assert kinds[:5] == [(Unavailable, "503: no healthy upstream")] * 5
    assert (
        kinds[5:]
        == [(CallNotPermitted, "not called, because of what others got: 503: no healthy upstream")] * 15
    )
    assert lw.stats()["damaging"].broken == 1
    assert admit(lw, one) > 0.1
    assert admit(lw, GOODFAITH) == 0
    wait_until(lambda: admit(lw, one) == 0)
    lift_wing.clear()
    assert answer(lw, 21, one).result == good(21)
    assert lw.stats()["damaging"] == ModelStats(limit=1, waiting=lw.stats()["damaging"].waiting)
    assert lift_wing.stats()["calls"]["damaging"]["total"] == 6


def test_while_the_probe_is_out_nothing_else_is_called(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="status", status=503, model="damaging")
    lw = opened()
    for rev_id in range(5):
        answer(lw, rev_id)
    lift_wing.clear()
    lift_wing.control(mode="hang", model="damaging")
    wait_until(lambda: admit(lw, DAMAGING) == 0)
    probe = asked(lw, 6)
    wait_for_calls(lift_wing, 1, DAMAGING)
    assert isinstance(answer(lw, 7).result, CallNotPermitted)
    assert admit(lw, DAMAGING) > 0
    lift_wing.clear()
    assert probe.result(PATIENCE_S).result == good(6)
    assert answer(lw, 8).result == good(8)


def test_a_stopped_endpoint_is_never_called(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw, stopped = opened(), replace(DAMAGING, concurrency=0)
    assert admit(lw, stopped) > 0
    assert isinstance(answer(lw, endpoint=stopped).result, CallNotPermitted)
    assert lift_wing.calls() == {}


def test_the_more_are_parked_the_longer_each_sleeps(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    """Five hundred look in a second, at all stopped endpoints together, and nobody sleeps less than two."""
    lw, stopped, other = opened(), replace(DAMAGING, concurrency=0), replace(GOODFAITH, concurrency=0)
    assert 1.6 <= admit(lw, other) <= 2.4
    for _ in range(1999):
        admit(lw, stopped)
    assert all(3.2 <= admit(lw, stopped, counted=1) <= 4.8 for _ in range(100))
    assert lw.stats()["damaging"].waiting == 1999
    assert 3.2 <= admit(lw, other, counted=1) <= 4.8


def test_nobody_is_asked_for_what_no_stream_takes(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw, deliveries = opened(), waiting_deliveries()
    deliveries.note_model("damaging", "codfw", "codfw.scores")
    deliveries.note("key", {"codfw.scores": MOST_WAITING})
    try:
        assert 1.6 <= admit(lw, DAMAGING) <= 2.4
        assert lw.admission.patience_s(DAMAGING) == inf
        assert admit(lw, GOODFAITH) == 0
        deliveries.note("key", {"codfw.scores": MOST_WAITING - 1})
        assert admit(lw, DAMAGING, counted=1) == 0
        assert lw.admission.patience_s(DAMAGING) is None
    finally:
        deliveries.note("key", {})


def test_who_ends_without_a_call_waits_no_more(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw, stopped = opened(), replace(DAMAGING, concurrency=0)
    for _ in range(3):
        admit(lw, stopped)
    lw.admission.forget(stopped, ENTERED_AT)
    assert lw.stats()["damaging"].waiting == 2


@pytest.mark.parametrize("late", [False, True])
def test_a_full_endpoint_sends_away_what_is_too_much(
    lift_wing: SimulatedLiftWing, opened: Open, late: bool
) -> None:
    lift_wing.control(mode="hang")
    lw, two = opened(), replace(DAMAGING, concurrency=2)
    taken = []
    while lw.admission.admit(two, ENTERED_AT, late) == 0:
        taken.append(asked(lw, len(taken), two, late))
        wait_until(lambda: (counts := lw.stats()["damaging"]).in_flight + counts.queued == len(taken))
    assert len(taken) == 2 + 64
    assert lw.admission.admit(two, ENTERED_AT, not late) == 0, (
        "those that have waited have a queue of their own"
    )
    lift_wing.clear()
    assert all(isinstance(future.result(PATIENCE_S).result, Score) for future in taken)


def test_every_second_place_goes_to_those_that_have_waited(
    lift_wing: SimulatedLiftWing, opened: Open
) -> None:
    lift_wing.control(mode="hang")
    lw, one = opened(), replace(DAMAGING, concurrency=1)
    first = asked(lw, 0, one)
    wait_for_calls(lift_wing, 1, DAMAGING)
    order: list[int] = []
    for rev_id in (1, 2, 3, 4, 101, 102):
        lw.submit(
            one,
            request_of(one, rev_id),
            lambda _answer, rev_id=rev_id: order.append(rev_id),
            late=rev_id > 100,
        )
    lift_wing.clear()
    assert isinstance(first.result(PATIENCE_S).result, Score)
    wait_until(lambda: len(order) == 6)
    assert order == [101, 1, 102, 2, 3, 4]


# Many calls


def test_an_endpoint_is_never_asked_more_at_once_than_it_allows(
    lift_wing: SimulatedLiftWing, opened: Open
) -> None:
    lift_wing.control(mode="slow", seconds=0.02)
    two, five = replace(DAMAGING, concurrency=2), replace(GOODFAITH, concurrency=5)
    lw = opened()
    futures = [asked(lw, rev_id, endpoint) for rev_id in range(40) for endpoint in (two, five)]
    assert [future.result(PATIENCE_S).result for future in futures] == [
        good(rev_id, endpoint) for rev_id in range(40) for endpoint in (two, five)
    ]
    assert lift_wing.stats()["most_in_flight"] == {"enwiki-damaging": 2, "enwiki-goodfaith": 5}
    assert set(lift_wing.calls().values()) == {1}


def test_all_endpoints_together_are_never_asked_more_at_once_than_the_process_allows(
    lift_wing: SimulatedLiftWing, opened: Open
) -> None:
    lift_wing.control(mode="slow", seconds=0.02)
    lw = opened(in_flight=3)
    for future in [asked(lw, rev_id, endpoint) for rev_id in range(20) for endpoint in (DAMAGING, GOODFAITH)]:
        assert isinstance(future.result(PATIENCE_S).result, Score)
    most = lift_wing.stats()["most_in_flight"]
    assert max(most.values()) <= 3
    assert len(lift_wing.calls()) == 40


def test_a_rate_is_for_all_endpoints_together(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw = opened(calls_per_s=100)
    began = monotonic()
    for future in [asked(lw, rev_id, endpoint) for rev_id in range(50) for endpoint in (DAMAGING, GOODFAITH)]:
        assert isinstance(future.result(PATIENCE_S).result, Score)
    assert 0.85 < monotonic() - began < 5, "a hundred calls, of which ten may come at once"


def test_a_model_that_hangs_leaves_the_others_alone(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="hang", model="damaging")
    lw = opened()
    hung = [asked(lw, rev_id) for rev_id in range(200)]
    wait_for_calls(lift_wing, DAMAGING.concurrency, DAMAGING)
    well = [asked(lw, rev_id, GOODFAITH) for rev_id in range(200)]
    assert all(isinstance(future.result(PATIENCE_S).result, Score) for future in well)
    assert not any(future.done() for future in hung)
    lift_wing.clear()
    assert all(isinstance(future.result(PATIENCE_S).result, Score) for future in hung)
    assert lift_wing.stats()["most_in_flight"]["enwiki-damaging"] == DAMAGING.concurrency


def test_every_call_ends_once(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="status", status=404, model="damaging")
    lift_wing.control(mode="garbage", rev_id=3)
    lift_wing.control(mode="status", status=503, rev_id=5, times=1)
    lw = opened()
    ended: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
    everything = [(endpoint, rev_id) for rev_id in range(100) for endpoint in (DAMAGING, GOODFAITH)]
    for endpoint, rev_id in everything:
        lw.submit(
            endpoint,
            request_of(endpoint, rev_id),
            lambda answer, asked=(endpoint.model, rev_id): ended.put(asked),
        )
    found = [ended.get(timeout=PATIENCE_S) for _ in everything]
    assert sorted(found) == sorted((endpoint.model, rev_id) for endpoint, rev_id in everything)
    assert ended.empty()


def test_wikis_models_and_revisions_are_asked_apart(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw = opened()
    of_frwiki = MODELS["damaging"].endpoints["frwiki"]
    for rev_id, endpoint in [(7, DAMAGING), (8, DAMAGING), (7, GOODFAITH), (7, of_frwiki)]:
        assert answer(lw, rev_id, endpoint).result == good(rev_id, endpoint)
    assert len(lift_wing.calls()) == 4


# Faults of this code


def test_a_fault_in_one_call_is_of_that_call_alone(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="hang")
    lw = opened()
    waiting = asked(lw)
    wait_for_calls(lift_wing, 1, DAMAGING)
    at_fault: Future[CallResult] = Future()
    lw.submit(DAMAGING, None, at_fault.set_result)  # type: ignore[arg-type]
    assert isinstance(at_fault.result(PATIENCE_S).result, AttributeError)
    assert not waiting.done()
    lift_wing.clear()
    assert waiting.result(PATIENCE_S).result == good()


def test_a_fault_of_the_client_reaches_every_caller(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lift_wing.control(mode="hang")
    lw = opened()
    waiting = asked(lw)
    wait_for_calls(lift_wing, 1, DAMAGING)
    lw._connection.run_soon(lambda: None / 1)  # type: ignore[operator, arg-type, return-value]
    fault = waiting.result(PATIENCE_S).result
    assert isinstance(fault, ClientError)
    assert "TypeError" in str(fault)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), "Test CA")


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[SimulatedLiftWing]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with SimulatedLiftWing(tls=context) as running:
        yield running


def test_a_certificate_of_a_known_authority_is_trusted(
    secure: SimulatedLiftWing, opened: Open, certificate: tuple[Path, Path]
) -> None:
    assert secure.url.startswith("https://")
    assert answer(opened(url=secure.url, ca_file=str(certificate[0]))).result == good()


def test_a_certificate_of_an_unknown_authority_is_not_trusted(
    secure: SimulatedLiftWing, opened: Open
) -> None:
    kind, said = error(answer(opened(url=secure.url)))
    assert kind is Unavailable
    assert re.match("no answer: SSL certificate .*self.signed certificate", said)
    assert secure.calls() == {}


def test_a_certificate_of_another_host_is_not_trusted(
    secure: SimulatedLiftWing, opened: Open, certificate: tuple[Path, Path]
) -> None:
    url = secure.url.replace("127.0.0.1", "localhost")
    kind, said = error(answer(opened(url=url, ca_file=str(certificate[0]))))
    assert kind is Unavailable
    assert "localhost" in said
    assert secure.calls() == {}


# One for the whole process


def test_the_users_of_a_process_share_one_until_the_last_lets_it_go(lift_wing: SimulatedLiftWing) -> None:
    settings = LiftWingSettings(lift_wing.url)
    first, second = SharedClient.acquire(settings), SharedClient.acquire(settings)
    assert first is second
    SharedClient.release(settings)
    assert answer(first).result == good()
    SharedClient.release(settings)
    third = SharedClient.acquire(settings)
    assert third is not first
    assert answer(third).result == good()
    SharedClient.release(settings)
    assert calls(lift_wing) == 2
