"""The simulated Lift Wing answers over real HTTP as the real one does."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from runners.simulated_lift_wing.faults import MODES
from runners.simulated_lift_wing.latency import curves, latency, seconds_at
from runners.simulated_lift_wing.scores import ENDPOINTS, TOPICS, features
from runners.simulated_lift_wing.server import SimulatedLiftWing, score, version
from tests.support.certificates import self_signed

COMMAND = [sys.executable, "-m", "runners.simulated_lift_wing"]
ALL = [(wiki, model) for model, entry in ENDPOINTS.items() for wiki in entry["wikis"]]
UNKNOWN_REVISION = (
    "The MW API does not have any info related to the rev-id provided as input (7), therefore it is not "
    "possible to extract features "
    "properly. One possible cause is the deletion of the page related to the revision id. Please contact "
    "the ML-Team if you need more info."
)


@pytest.fixture
def lift_wing() -> Iterator[SimulatedLiftWing]:
    with SimulatedLiftWing() as running:
        yield running


def host(wiki: str, model: str) -> str:
    return f"{wiki}-{model}.{ENDPOINTS[model]['namespace']}.wikimedia.org"


def predict(
    url: str, body: Any, wiki: str = "enwiki", model: str = "damaging", **more: Any
) -> requests.Response:
    headers = {"Host": host(wiki, model)}
    return requests.post(
        f"{url}/v1/models/{wiki}-{model}:predict", json=body, headers=headers, timeout=5, **more
    )


def answer(rev_id: int, wiki: str = "enwiki", model: str = "damaging") -> dict[str, Any]:
    scored = {"score": score(wiki, model, rev_id)}
    return {
        wiki: {"models": {model: {"version": version(wiki, model)}}, "scores": {str(rev_id): {model: scored}}}
    }


def answer_after_hanging(lift_wing: SimulatedLiftWing, pool: ThreadPoolExecutor, rev_id: int) -> Any:
    """A call that the server holds for certain: it has been counted."""
    pending = pool.submit(predict, lift_wing.url, {"rev_id": rev_id})
    wait_for_call(lift_wing.url, rev_id)
    return pending


def wait_for_call(url: str, rev_id: int) -> None:
    while f"enwiki:{rev_id}" not in requests.get(f"{url}/stats/revisions", timeout=5).json().get(
        "damaging", {}
    ):
        pass


# Scores


@pytest.mark.parametrize(
    ("wiki", "model", "expected"),
    [
        (
            "enwiki",
            "damaging",
            {"prediction": True, "probability": {"false": 0.04571355168557878, "true": 0.9542864483144212}},
        ),
        (
            "enwiki",
            "goodfaith",
            {"prediction": True, "probability": {"false": 0.4056965527759495, "true": 0.5943034472240505}},
        ),
        (
            "viwiki",
            "reverted",
            {"prediction": False, "probability": {"false": 0.780530574053633, "true": 0.21946942594636693}},
        ),
        (
            "wikidatawiki",
            "itemquality",
            {
                "prediction": "D",
                "probability": {
                    "A": 0.08358295347659359,
                    "B": 0.055625497431444904,
                    "C": 0.0020837855437377904,
                    "D": 0.5502496201432603,
                    "E": 0.30845814340496347,
                },
            },
        ),
    ],
)
def test_a_score_is_the_same_everywhere_and_always(wiki: str, model: str, expected: dict[str, Any]) -> None:
    assert score(wiki, model, 1) == expected


@pytest.mark.parametrize(("wiki", "model"), ALL)
def test_probabilities_and_prediction_agree(wiki: str, model: str) -> None:
    for rev_id in range(1, 30):
        prediction, probability = score(wiki, model, rev_id).values()
        assert all(0 <= p <= 1 for p in probability.values())
        if model.endswith("topic"):
            assert tuple(probability) == TOPICS
            assert prediction == [topic for topic, p in probability.items() if p > 0.5]
            continue
        assert sum(probability.values()) == pytest.approx(1, abs=1e-12)
        best = max(probability, key=probability.__getitem__)
        assert prediction == (best == "true" if set(probability) == {"true", "false"} else best)


def test_the_labels_are_those_of_the_wiki() -> None:
    assert len(TOPICS) == 64
    assert list(score("enwiki", "articlequality", 1)["probability"]) == [
        "B",
        "C",
        "FA",
        "GA",
        "Start",
        "Stub",
    ]
    assert list(score("ruwiki", "articlequality", 1)["probability"]) == [
        "I",
        "II",
        "III",
        "IV",
        "ДС",
        "ИС",
        "ХС",
    ]
    assert list(score("ptwiki", "articlequality", 1)["probability"]) == ["1", "2", "3", "4", "5", "6"]
    assert list(score("enwiki", "draftquality", 1)["probability"]) == ["OK", "attack", "spam", "vandalism"]


def test_some_revisions_have_no_topic_and_some_have_several() -> None:
    assert score("enwiki", "drafttopic", 4)["prediction"] == []
    assert score("enwiki", "articletopic", 1)["prediction"] == [
        "Culture.Philosophy and religion",
        "STEM.Computing",
    ]


def test_versions() -> None:
    assert version("enwiki", "articlequality") == "0.9.2"
    assert version("testwiki", "damaging") == "0.0.3"
    assert version("nowhere", "damaging") == "0.5.0"


# Predictions


def test_every_endpoint_answers(lift_wing: SimulatedLiftWing) -> None:
    assert len(ALL) == 109
    with requests.Session() as session:
        for wiki, model in ALL:
            url = f"{lift_wing.url}/v1/models/{wiki}-{model}:predict"
            got = session.post(url, json={"rev_id": 7}, headers={"Host": host(wiki, model)}, timeout=5)
            assert (got.status_code, got.headers["Content-Type"], got.json()) == (
                200,
                "application/json",
                answer(7, wiki, model),
            )


def test_extended_output_adds_the_features(lift_wing: SimulatedLiftWing) -> None:
    expected = answer(7)
    expected["enwiki"]["scores"]["7"]["damaging"]["features"] = features("enwiki", "damaging", 7)
    assert predict(lift_wing.url, {"rev_id": 7, "extended_output": True}).json() == expected


@pytest.mark.parametrize(
    "event",
    [
        {"$schema": "/mediawiki/revision/create/1.1.0", "rev_id": 7},
        {"$schema": "/mediawiki/revision/create/2.0.0", "rev_id": 7},
        {"$schema": "/mediawiki/page/change/1.2.0", "revision": {"rev_id": 7}},
    ],
)
def test_the_revision_may_be_that_of_an_event(lift_wing: SimulatedLiftWing, event: dict[str, Any]) -> None:
    assert predict(lift_wing.url, {"event": event}).json() == answer(7)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, 'Expected "rev_id" in input data.'),
        ({"rev_id": "7"}, 'Expected "rev_id" to be an integer.'),
        ({"rev_id": True}, 'Expected "rev_id" to be an integer.'),
        ({"event": {"rev_id": 7}}, 'Expected "rev_id" in input data.'),
        (
            {"event": {"$schema": "/x/1.0.0"}},
            "Unsupported event of schema /x/1.0.0, the rev_id value cannot be determined.",
        ),
        ([7], "Please verify that request input is a json dict"),
    ],
)
def test_a_bad_request_is_400(lift_wing: SimulatedLiftWing, body: Any, error: str) -> None:
    got = predict(lift_wing.url, body)
    assert (got.status_code, got.json()) == (400, {"error": error})


def test_a_body_that_is_not_json_is_400(lift_wing: SimulatedLiftWing) -> None:
    got = requests.post(
        f"{lift_wing.url}/v1/models/enwiki-damaging:predict",
        data=b"{",
        headers={"Host": host("enwiki", "damaging")},
        timeout=5,
    )
    assert got.status_code == 400
    assert got.json()["error"].startswith("Unrecognized request format: ")


@pytest.mark.parametrize(
    "wrong", ["enwiki-damaging.revscoring-editquality-goodfaith.wikimedia.org", "localhost"]
)
def test_an_unknown_host_is_404_without_a_body(lift_wing: SimulatedLiftWing, wrong: str) -> None:
    got = requests.post(
        f"{lift_wing.url}/v1/models/enwiki-damaging:predict",
        json={"rev_id": 7},
        headers={"Host": wrong},
        timeout=5,
    )
    assert (got.status_code, got.content) == (404, b"")
    assert lift_wing.calls() == {}


def test_the_port_may_be_part_of_the_host(lift_wing: SimulatedLiftWing) -> None:
    headers = {"Host": host("enwiki", "damaging") + ":30443"}
    got = requests.post(
        f"{lift_wing.url}/v1/models/enwiki-damaging:predict", json={"rev_id": 7}, headers=headers, timeout=5
    )
    assert got.json() == answer(7)


def test_an_unknown_model_on_a_live_service_is_404(lift_wing: SimulatedLiftWing) -> None:
    got = requests.post(
        f"{lift_wing.url}/v1/models/frwiki-damaging:predict",
        json={"rev_id": 7},
        headers={"Host": host("enwiki", "damaging")},
        timeout=5,
    )
    assert (got.status_code, got.json()) == (
        404,
        {"error": "Model with name frwiki-damaging does not exist."},
    )


def readiness(
    url: str, path: str = "/v1/models/enwiki-damaging", of: str = host("enwiki", "damaging")
) -> requests.Response:
    return requests.get(url + path, headers={"Host": of}, timeout=1)


def test_a_service_says_that_its_model_is_loaded(lift_wing: SimulatedLiftWing) -> None:
    assert (readiness(lift_wing.url).status_code, readiness(lift_wing.url).json()) == (
        200,
        {"name": "enwiki-damaging", "ready": True},
    )
    of_all = readiness(
        lift_wing.url, "/v1/models/revertrisk-wikidata", "revertrisk-wikidata.revertrisk.wikimedia.org"
    )
    assert of_all.json() == {"name": "revertrisk-wikidata", "ready": True}
    other = readiness(lift_wing.url, "/v1/models/frwiki-damaging")
    assert (other.status_code, other.json()) == (
        404,
        {"error": "Model with name frwiki-damaging does not exist."},
    )
    assert readiness(lift_wing.url, of="enwiki-damaging.elsewhere.wikimedia.org").status_code == 404
    assert lift_wing.stats()["calls"].get("damaging", {}).get("answered", {}) == {"404": 1}, (
        "a question for readiness is no call"
    )


def test_a_fault_of_a_whole_service_is_told_for_its_readiness_too(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="status", status=500, model="damaging", rev_id=7)
    lift_wing.control(mode="status", status=500, model="damaging", times=1)
    lift_wing.control(mode="garbage", model="damaging")
    lift_wing.control(mode="status", status=503, model="goodfaith")
    assert readiness(lift_wing.url).json()["ready"] is True, "these are faults of answers"
    lift_wing.control(mode="status", status=503, model="damaging")
    assert (readiness(lift_wing.url).status_code, readiness(lift_wing.url).text) == (
        503,
        "no healthy upstream",
    )
    lift_wing.clear()
    lift_wing.control(mode="hang", wiki="enwiki")
    with pytest.raises(requests.ReadTimeout):
        readiness(lift_wing.url)
    lift_wing.clear()
    lift_wing.control(mode="drop", wiki="enwiki")
    with pytest.raises(requests.ConnectionError):
        readiness(lift_wing.url)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/models/enwiki-damaging:predict", 405), ("POST", "/elsewhere", 404)],
)
def test_other_requests_to_a_service(
    lift_wing: SimulatedLiftWing, method: str, path: str, status: int
) -> None:
    assert (
        requests.request(
            method, lift_wing.url + path, headers={"Host": host("enwiki", "damaging")}, timeout=5
        ).status_code
        == status
    )


def test_a_connection_stays_open(lift_wing: SimulatedLiftWing) -> None:
    connection = http.client.HTTPConnection(lift_wing.url.removeprefix("http://"), timeout=5)
    connection.connect()
    first = connection.sock
    for _ in range(3):
        connection.request(
            "POST",
            "/v1/models/enwiki-damaging:predict",
            b'{"rev_id": 7}',
            {"Host": host("enwiki", "damaging")},
        )
        assert json.loads(connection.getresponse().read()) == answer(7)
        assert connection.sock is first
    connection.close()


def test_a_client_that_expects_to_be_told_to_continue_is_told(lift_wing: SimulatedLiftWing) -> None:
    head = (
        "POST /v1/models/enwiki-damaging:predict HTTP/1.1\r\nHost: "
        f"{host('enwiki', 'damaging')}\r\nContent-Length: 13\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", int(lift_wing.url.rpartition(":")[2]))) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"rev_id": 7}')
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


# Latency


def test_staging_follows_the_measured_percentiles() -> None:
    damaging = curves()["damaging"]
    assert [seconds_at(damaging, share) for share in (0.5, 0.95, 0.99, 1.0)] == [0.48, 4.2, 6.8, 8.0]
    assert seconds_at(damaging, 0.0) == 0.155
    assert seconds_at(damaging, 0.97) == pytest.approx(4.2 + (4.9 - 4.2) * 2 / 3)
    assert set(curves()) == set(ENDPOINTS)
    assert curves()["itemtopic"] == curves()["articletopic"]


@pytest.mark.parametrize(("text", "p50", "p99"), [("staging", 0.48, 6.8), ("lognormal:0.48:6.5", 0.48, 6.5)])
def test_the_draws_have_the_percentiles_asked_for(text: str, p50: float, p99: float) -> None:
    draw = latency(text)
    drawn = sorted(draw("enwiki", "damaging", rev_id, 1) for rev_id in range(20_000))
    assert drawn[10_000] == pytest.approx(p50, rel=0.05)
    assert drawn[19_800] == pytest.approx(p99, rel=0.1)
    assert drawn[-1] <= 15


def test_a_draw_depends_on_the_attempt_and_on_nothing_else() -> None:
    one, other = latency("staging"), latency("staging", scale=0.5)
    assert one("enwiki", "damaging", 1, 1) == 4.305738874827698
    assert one("enwiki", "damaging", 1, 2) != one("enwiki", "damaging", 1, 1)
    assert other("enwiki", "damaging", 1, 1) == one("enwiki", "damaging", 1, 1) / 2


@pytest.mark.parametrize("text", ["fast", "lognormal:2:1", "lognormal:1", "staging:2"])
def test_a_latency_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected staging, lognormal:P50:P99 or seconds"):
        latency(text)


def test_the_time_of_a_call_is_told() -> None:
    with SimulatedLiftWing(latency=0.1, scale=0.5) as lift_wing:
        got = predict(lift_wing.url, {"rev_id": 7})
        seconds = requests.get(f"{lift_wing.url}/stats/seconds", timeout=5).json()
    assert 0.049 <= float(got.headers["X-Simulated-Seconds"]) <= got.elapsed.total_seconds()
    assert seconds == {
        "damaging": {"enwiki:7": pytest.approx(float(got.headers["X-Simulated-Seconds"]), abs=0.005)}
    }


# Faults


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (400, "application/json", {"error": UNKNOWN_REVISION}),
        (404, "application/json", {"error": "Model with name enwiki-damaging does not exist."}),
        (
            422,
            "application/json",
            {"detail": "Could not make prediction for revision(s) 7. Reason: parent_revision_missing"},
        ),
        (
            500,
            "application/json",
            {
                "error": "An error happened while fetching feature values from the MediaWiki API, please "
                "contact the ML-Team if the issue persists."
            },
        ),
        (429, "text/plain", "Too Many Requests"),
        (502, "text/plain", "Bad Gateway"),
        (503, "text/plain", "no healthy upstream"),
        (504, "text/plain", "upstream request timeout"),
        (418, "text/plain", ""),
    ],
)
def test_a_status_comes_with_its_real_body(
    lift_wing: SimulatedLiftWing, status: int, kind: str, body: Any
) -> None:
    lift_wing.control(mode="status", status=status)
    got = predict(lift_wing.url, {"rev_id": 7})
    assert (got.status_code, got.headers["Content-Type"].partition(";")[0]) == (status, kind)
    assert (got.text if kind == "text/plain" else got.json()) == body


@pytest.mark.parametrize(("body", "text"), [("later", "later"), ({"error": "later"}, '{"error":"later"}')])
def test_a_status_may_have_another_body_and_headers(
    lift_wing: SimulatedLiftWing, body: Any, text: str
) -> None:
    lift_wing.control(mode="status", status=503, body=body, headers={"Retry-After": "1"})
    got = predict(lift_wing.url, {"rev_id": 7})
    assert (got.status_code, got.text, got.headers["Retry-After"]) == (503, text, "1")
    assert "X-Simulated-Seconds" in got.headers


def test_slow(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="slow", seconds=0.1)
    got = predict(lift_wing.url, {"rev_id": 7})
    assert got.json() == answer(7)
    assert float(got.headers["X-Simulated-Seconds"]) >= 0.099


def test_a_call_hangs_until_the_control_is_cleared(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="hang")
    with ThreadPoolExecutor() as pool:
        pending = answer_after_hanging(lift_wing, pool, 7)
        assert lift_wing.stats()["calls"]["damaging"] == {"total": 1, "in_flight": 1, "answered": {}}
        lift_wing.clear()
        assert pending.result().json() == answer(7)
    assert lift_wing.stats()["calls"]["damaging"] == {"total": 1, "in_flight": 0, "answered": {"200": 1}}


def test_a_call_hangs_until_its_client_goes(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="hang")
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{lift_wing.url}/v1/models/enwiki-damaging:predict",
            json={"rev_id": 7},
            headers={"Host": host("enwiki", "damaging")},
            timeout=(5, 0.05),
        )
    while lift_wing.stats()["calls"]["damaging"]["in_flight"]:
        pass
    assert lift_wing.stats()["calls"]["damaging"] == {"total": 1, "in_flight": 0, "answered": {}}


def test_drop(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="drop", times=1)
    with pytest.raises(requests.ConnectionError):
        predict(lift_wing.url, {"rev_id": 7})
    assert predict(lift_wing.url, {"rev_id": 7}).json() == answer(7)
    assert lift_wing.stats()["calls"]["damaging"] == {"total": 2, "in_flight": 0, "answered": {"200": 1}}


def test_garbage(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="garbage")
    got = predict(lift_wing.url, {"rev_id": 7})
    assert (got.status_code, got.text) == (200, "<html><body>upstream said something else")


def test_html(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="html")
    got = predict(lift_wing.url, {"rev_id": 7})
    assert (got.status_code, got.headers["Content-Type"], got.text[:15]) == (
        200,
        "text/html; charset=utf-8",
        "<!doctype html>",
    )


def test_redirect(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="redirect", location="http://elsewhere.example/")
    got = predict(lift_wing.url, {"rev_id": 7}, allow_redirects=False)
    assert (got.status_code, got.headers["Location"]) == (302, "http://elsewhere.example/")


def test_a_truncated_answer_says_more_than_it_sends(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="truncated", times=1)
    connection = http.client.HTTPConnection(lift_wing.url.removeprefix("http://"), timeout=5)
    connection.request(
        "POST", "/v1/models/enwiki-damaging:predict", b'{"rev_id": 7}', {"Host": host("enwiki", "damaging")}
    )
    response = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead) as broken:
        response.read()
    whole = requests.post(
        f"{lift_wing.url}/v1/models/enwiki-damaging:predict",
        json={"rev_id": 7},
        headers={"Host": host("enwiki", "damaging")},
        timeout=5,
    )
    assert response.status == 200
    assert int(response.headers["Content-Length"]) == len(whole.content)
    assert broken.value.partial == whole.content[: len(whole.content) // 2]
    assert whole.json() == answer(7)


@pytest.mark.parametrize(("chunked", "header"), [(False, "Content-Length"), (True, "Transfer-Encoding")])
def test_a_huge_answer_is_a_good_one_after_megabytes_of_white_space(
    lift_wing: SimulatedLiftWing, chunked: bool, header: str
) -> None:
    lift_wing.control(mode="huge", megabytes=3, chunked=chunked)
    got = predict(lift_wing.url, {"rev_id": 7})
    assert {"Content-Length", "Transfer-Encoding"} & set(got.headers) == {header}
    assert (got.status_code, got.content[:3_000_000].strip(), json.loads(got.content[3_000_000:])) == (
        200,
        b"",
        answer(7),
    )


def test_a_client_may_leave_a_huge_answer(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="huge")
    with predict(lift_wing.url, {"rev_id": 7}, stream=True) as got:
        assert got.raw.read(10) == b" " * 10
        assert got.headers["Content-Length"] == str(
            100_000_000 + len(json.dumps(answer(7), separators=(",", ":")))
        )
    while lift_wing.stats()["calls"]["damaging"]["in_flight"]:
        pass
    lift_wing.clear()
    assert predict(lift_wing.url, {"rev_id": 7}).json() == answer(7)


def test_the_other_port_refuses_until_the_control_is_cleared(lift_wing: SimulatedLiftWing) -> None:
    with requests.Session() as session:
        headers = {"Host": host("enwiki", "damaging")}
        assert session.post(
            f"{lift_wing.other_url}/v1/models/enwiki-damaging:predict",
            json={"rev_id": 7},
            headers=headers,
            timeout=5,
        ).json() == answer(7)
        lift_wing.control(mode="refuse")
        for client in (session, requests):
            with pytest.raises(requests.ConnectionError, match="Connection refused"):
                client.post(
                    f"{lift_wing.other_url}/v1/models/enwiki-damaging:predict",
                    json={"rev_id": 7},
                    headers=headers,
                    timeout=5,
                )
    lift_wing.control(mode="refuse")  # twice is as once
    assert predict(lift_wing.url, {"rev_id": 7}).json() == answer(7)
    lift_wing.clear()
    assert predict(lift_wing.other_url, {"rev_id": 7}).json() == answer(7)


def test_empty(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="empty")
    got = predict(lift_wing.url, {"rev_id": 7})
    assert (got.status_code, got.json()) == (
        200,
        {"enwiki": {"models": {"damaging": {"version": "0.5.1"}}, "scores": {}}},
    )


def test_other_revision(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="other_revision")
    got = predict(lift_wing.url, {"rev_id": 7})
    assert (got.status_code, got.json()) == (200, answer(8))


def test_a_rule_is_for_the_calls_it_names_and_the_newest_comes_first(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="status", status=500)
    lift_wing.control(mode="status", status=503, wiki="enwiki")
    lift_wing.control(mode="status", status=504, wiki="enwiki", model="damaging", rev_id=7)
    calls = [
        (7, "enwiki", "damaging"),
        (8, "enwiki", "damaging"),
        (7, "enwiki", "goodfaith"),
        (7, "frwiki", "damaging"),
    ]
    assert [
        predict(lift_wing.url, {"rev_id": rev_id}, wiki, model).status_code for rev_id, wiki, model in calls
    ] == [504, 503, 503, 500]


def test_times_are_counted_for_each_revision_of_each_model(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="status", status=503, times=2)
    for rev_id, model in [(7, "damaging"), (8, "damaging"), (7, "goodfaith")]:
        assert [
            predict(lift_wing.url, {"rev_id": rev_id}, "enwiki", model).status_code for _ in range(3)
        ] == [503, 503, 200]


def test_control_over_http(lift_wing: SimulatedLiftWing) -> None:
    control = f"{lift_wing.url}/control"
    rule = {"model": None, "wiki": "enwiki", "rev_id": None, "mode": "status", "status": 503, "times": None}
    assert requests.post(control, json=rule, timeout=5).status_code == 204
    assert predict(lift_wing.url, {"rev_id": 7}).status_code == 503
    assert requests.delete(control, timeout=5).status_code == 204
    assert predict(lift_wing.url, {"rev_id": 7}).status_code == 200


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({}, "expected a JSON object with a mode"),
        (
            {"mode": "sulk"},
            f"mode: expected one of {', '.join(MODES)}, got 'sulk'",
        ),
        ({"mode": "slow", "second": 1}, "second: unknown key"),
        ({"mode": "slow", "rev_id": "7"}, "rev_id: unexpected '7'"),
        ({"mode": "redirect"}, "location: expected the address that `redirect` leads to, got nothing"),
    ],
)
def test_a_wrong_rule_is_refused(lift_wing: SimulatedLiftWing, rule: dict[str, Any], error: str) -> None:
    got = requests.post(f"{lift_wing.url}/control", json=rule, timeout=5)
    assert (got.status_code, got.json()) == (400, {"error": error})


# Counts


def test_stats(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="status", status=503, rev_id=8)
    for rev_id, wiki, model in [
        (7, "enwiki", "damaging"),
        (7, "enwiki", "damaging"),
        (8, "frwiki", "damaging"),
        (7, "enwiki", "drafttopic"),
    ]:
        predict(lift_wing.url, {"rev_id": rev_id}, wiki, model)
    assert lift_wing.calls() == {
        ("damaging", "enwiki", 7): 2,
        ("damaging", "frwiki", 8): 1,
        ("drafttopic", "enwiki", 7): 1,
    }
    assert requests.get(f"{lift_wing.url}/stats/revisions", timeout=5).json() == {
        "damaging": {"enwiki:7": 2, "frwiki:8": 1},
        "drafttopic": {"enwiki:7": 1},
    }
    expected = {
        "calls": {
            "damaging": {"total": 3, "in_flight": 0, "answered": {"200": 2, "503": 1}},
            "drafttopic": {"total": 1, "in_flight": 0, "answered": {"200": 1}},
        },
        "most_in_flight": {"enwiki-damaging": 1, "frwiki-damaging": 1, "enwiki-drafttopic": 1},
    }
    assert requests.get(f"{lift_wing.url}/stats", timeout=5).json() == lift_wing.stats() == expected
    assert requests.delete(f"{lift_wing.url}/stats", timeout=5).status_code == 204
    assert lift_wing.calls() == {}
    assert lift_wing.stats() == {"calls": {}, "most_in_flight": {}}


def test_without_records_nothing_of_single_revisions_is_kept() -> None:
    draw = latency("lognormal:0.01:0.02")("enwiki", "damaging", 7, 1)
    with SimulatedLiftWing(latency="lognormal:0.01:0.02", keep_records=False) as lift_wing:
        lift_wing.control(mode="status", status=503, rev_id=8)
        told = [float(predict(lift_wing.url, {"rev_id": 7}).headers["X-Simulated-Seconds"]) for _ in range(3)]
        predict(lift_wing.url, {"rev_id": 8})
        assert lift_wing.calls() == requests.get(f"{lift_wing.url}/stats/seconds", timeout=5).json() == {}
        assert lift_wing.stats()["calls"] == {
            "damaging": {"total": 4, "in_flight": 0, "answered": {"200": 3, "503": 1}}
        }
    assert all(draw <= seconds < draw + 0.1 for seconds in told)


def test_most_in_flight_is_the_peak(lift_wing: SimulatedLiftWing) -> None:
    lift_wing.control(mode="hang")
    with ThreadPoolExecutor() as pool:
        for rev_id in (7, 8, 9):
            answer_after_hanging(lift_wing, pool, rev_id)
        lift_wing.clear()
    assert lift_wing.stats()["most_in_flight"] == {"enwiki-damaging": 3}
    lift_wing.forget()
    assert lift_wing.stats()["most_in_flight"] == {}


def test_a_browser_gets_a_table(lift_wing: SimulatedLiftWing) -> None:
    predict(lift_wing.url, {"rev_id": 7})
    got = requests.get(
        f"{lift_wing.url}/stats", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, timeout=5
    )
    assert got.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<tr><td>damaging<td>1<td>0<td>200: 1" in got.text


# The process


def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([*COMMAND, "--port", "0", *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    greeting, _, url = process.stdout.readline().strip().rpartition(" ")
    assert greeting == "simulated Lift Wing on"
    return process, url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_even_with_a_call_that_hangs(number: signal.Signals) -> None:
    process, url = start()
    with process, ThreadPoolExecutor() as pool:
        assert predict(url, {"rev_id": 6}).json() == answer(6)
        requests.post(f"{url}/control", json={"mode": "hang"}, timeout=5)
        pending = pool.submit(predict, url, {"rev_id": 7})
        wait_for_call(url, 7)
        process.send_signal(number)
        assert process.wait(timeout=5) == 0
        assert isinstance(pending.exception(), requests.ConnectionError)


def test_the_other_port_of_the_process() -> None:
    process, url = start("--other-port", "0")
    with process:
        assert process.stdout is not None
        other = process.stdout.readline().strip().removeprefix("other port: ")
        assert predict(other, {"rev_id": 7}).json() == answer(7)
        assert requests.post(f"{url}/control", json={"mode": "refuse"}, timeout=5).status_code == 204
        with pytest.raises(requests.ConnectionError, match="Connection refused"):
            predict(other, {"rev_id": 7})
        process.terminate()


def test_a_process_without_another_port_cannot_refuse() -> None:
    process, url = start()
    with process:
        got = requests.post(f"{url}/control", json={"mode": "refuse"}, timeout=5)
        assert (got.status_code, got.json()) == (
            400,
            {"error": "mode: refuse shuts the other port, and there is none; start with --other-port"},
        )
        process.terminate()


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=10)
        with pytest.raises(OSError, match="address already in use"), SimulatedLiftWing(port=port):
            pass
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert f"('127.0.0.1', {port}): address already in use" in done.stderr


def test_tls(tmp_path: Path) -> None:
    certificate, key = map(str, self_signed(tmp_path, "localhost"))
    process, url = start("--tls-cert", certificate, "--tls-key", key)
    with process:
        assert url.startswith("https://127.0.0.1:")
        assert predict(url, {"rev_id": 7}, verify=certificate).json() == answer(7)
        process.terminate()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with SimulatedLiftWing(tls=context) as lift_wing:
        assert predict(lift_wing.url, {"rev_id": 7}, verify=certificate).json() == answer(7)


def test_the_thread_ends_with_its_context() -> None:
    with SimulatedLiftWing() as lift_wing:
        assert "simulated Lift Wing" in {thread.name for thread in threading.enumerate()}
        assert predict(lift_wing.url, {"rev_id": 7}).ok
    assert "simulated Lift Wing" not in {thread.name for thread in threading.enumerate()}
