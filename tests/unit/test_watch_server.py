"""What the live page serves, and to whom: boards, probes, events; without a browser."""

from __future__ import annotations

import select
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from pipeline.config.kafka import Kafka
from pipeline.health.facts import Facts, FlinkFacts
from pipeline.process.child_process import free_port
from pipeline.watch import readiness
from pipeline.watch.allowed_hosts import AllowedHosts
from pipeline.watch.board import BoardMaker
from pipeline.watch.health_poller import HealthPoller
from pipeline.watch.links import Links
from pipeline.watch.server import Events, PageServer
from pipeline.watch.tally import Tally
from pipeline.watch.topic_reader import TopicReader
from runners.programs import run
from tests.support.watched import NOW, models

# boards


def test_a_board_of_a_broker_that_never_was_says_so_and_shows_every_model(tmp_path: Path) -> None:
    tally = Tally(models(tmp_path, "damaging", "goodfaith", more=", concurrency: 0"))
    reader = TopicReader(Kafka("127.0.0.1:1"), tally.topics)
    assert reader.read(0.01) == []
    board = BoardMaker(tally, reader, None, Links()).board(NOW)
    reader.close()
    assert board["headline"]["state"] == "stopped"
    assert board["headline"]["text"].startswith("No broker answers at 127.0.0.1:1 (")
    assert [(model["name"], model["state"], model["waiting"]) for model in board["models"]] == [
        ("damaging", "parked", 0),
        ("goodfaith", "parked", 0),
    ]


# probes


class Seen:
    """Looks as if they had seen these facts."""

    def __init__(self, flink: FlinkFacts | None) -> None:
        self.facts = Facts(NOW, flink)


RUNS = FlinkFacts(job_id="7", state="RUNNING", task_managers=1, last_checkpoint=NOW - 4)
BOARD = {"at": NOW - 1, "behind": 12, "headline": {"state": "ill", "text": "Damaging is broken."}}


@pytest.mark.parametrize(
    ("board", "flink", "status", "why"),
    [
        (BOARD, RUNS, 200, []),
        (
            {**BOARD, "headline": {"state": "stopped", "text": "Kafka is away."}},
            RUNS,
            503,
            ["Kafka is away."],
        ),
        ({**BOARD, "behind": 20_000}, RUNS, 503, ["the stream is 20000 events behind"]),
        (BOARD, replace(RUNS, state="RESTARTING"), 503, ["the job is RESTARTING"]),
        (BOARD, replace(RUNS, last_checkpoint=NOW - 300), 503, ["the last checkpoint is 300 s old"]),
        (BOARD, replace(RUNS, last_checkpoint=None), 503, ["no checkpoint was completed yet"]),
        (BOARD, None, 503, ["nobody knows where its Flink is; name it with --flink, or --state"]),
        ({}, RUNS, 503, ["nothing has been looked at"]),
    ],
)
def test_a_pager_can_ask_whether_the_stream_does_its_work(
    board: dict[str, Any], flink: FlinkFacts | None, status: int, why: list[str]
) -> None:
    found, body = readiness.readyz(board, cast(HealthPoller, Seen(flink)), NOW)
    assert (found, body["why"]) == (status, why)
    assert readiness.healthz(board, NOW)[0] == (200 if board else 503)


# the server


def test_probes_are_answered_with_their_status() -> None:
    server = PageServer(("127.0.0.1", 0), Events(), {"/readyz": lambda: (503, {"why": ["x"]})})
    answer = requests.get(f"{server.url}/readyz", timeout=5)
    server.shutdown()
    server.server_close()
    assert (answer.status_code, answer.json()) == (503, {"why": ["x"]})


def test_a_slow_reader_gets_the_newest_and_holds_up_nobody() -> None:
    events = Events()
    for number in range(1000):
        events.publish("board", {"number": number})
    events.publish("lines", {})
    assert events.after(0) == (1001, b'event: board\ndata: {"number":999}\n\nevent: lines\ndata: {}\n\n')
    publisher = threading.Timer(0.05, events.publish, ("board", {"number": 1000}))
    publisher.start()
    assert events.after(1001) == (1002, b'event: board\ndata: {"number":1000}\n\n')


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/charts.js", "text/javascript"),
    ],
)
def test_the_page_is_served_without_a_link_to_anything_outside(path: str, kind: str) -> None:
    server = PageServer(("127.0.0.1", 0), Events())
    answer = requests.get(server.url + path, timeout=5)
    missing = requests.get(server.url + "/../setup.py", timeout=5)
    server.shutdown()
    server.server_close()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST.:8080", 200),
        ("[::1]:80", 200),
        ("192.0.2.7", 200),
        ("watch.example.org", 200),  # given
        ("evil.example.org", 421),
        ("127.0.0.1.evil.example.org", 421),
        ("evil.example.org@localhost", 421),
        ("", 421),
    ],
)
@pytest.mark.parametrize("path", ["/", "/events"])
def test_a_strangers_name_does_not_lead_to_the_page(host: str, status: int, path: str) -> None:
    """DNS rebinding: a page of a stranger whose name is made to lead here."""
    server = PageServer(
        ("127.0.0.1", 0), Events(), hosts=AllowedHosts("watch.example.org, other.example.org")
    )
    with requests.get(server.url + path, headers={"Host": host}, timeout=5, stream=True) as answer:
        assert answer.status_code == status
    server.shutdown()
    server.server_close()


def test_wrong_uses_end_with_one_line(tmp_path: Path) -> None:
    server = PageServer(("127.0.0.1", free_port()), Events())
    done = run("pipeline", "watch", "--kafka", "127.0.0.1:1", "--port", str(server.server_port))
    server.shutdown()
    server.server_close()
    line = (
        f"revision-scores watch: --port: 127.0.0.1:{server.server_port} cannot be listened on: Address "
        "already in use; name another one\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_a_hundred_readers_come_at_once() -> None:
    server = PageServer(("127.0.0.1", 0), Events())
    readers = [socket.socket() for _ in range(100)]
    for reader in readers:
        reader.setblocking(False)
        reader.connect_ex(("127.0.0.1", server.server_port))
    waiting, until = set(readers), time.monotonic() + 0.9  # Linux tries again after a second
    while waiting and time.monotonic() < until:
        waiting -= set(select.select([], waiting, [], 0.1)[1])
    for reader in readers:
        reader.close()
    server.shutdown()
    server.server_close()
    assert not waiting
