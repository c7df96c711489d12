"""What the live page counts, and what it says of a model; without a browser."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import requests

from pipeline.config.kafka import Kafka
from pipeline.health.conditions import ILL, STOPPED, Condition, Facts, duration
from pipeline.health.flink_facts import FlinkFacts
from pipeline.process.child_process import free_port
from pipeline.watch import readiness
from pipeline.watch.board import BoardMaker
from pipeline.watch.headline import Headline, all_silent, headline
from pipeline.watch.hosts import Hosts
from pipeline.watch.links import Links
from pipeline.watch.looks import Looks
from pipeline.watch.messages import Messages
from pipeline.watch.of_model import OfModel
from pipeline.watch.recent import RecentCounts
from pipeline.watch.server import Events, PageServer
from pipeline.watch.tally import Tally
from pipeline.watch.verdicts import Verdict, of_cause, verdict
from runners.programs import run
from tests.support.events import edit
from tests.support.watched import failure, models, score


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    return Tally(models(tmp_path, "damaging"))


@pytest.fixture
def damaging(tally: Tally) -> OfModel:
    return tally.models["damaging"]


NOW = 1_700_000_004.0  # near the end of a slice of five seconds
SOURCE, OF_DAMAGING, FAILED = (
    "eqiad.mediawiki.revision-create",
    "eqiad.mediawiki.revision-score-damaging",
    "eqiad.mediawiki.revision-score.error",
)
TIMEOUT_S = 30.0


# counting


def test_an_edit_waits_until_its_score_or_failure_comes(tally: Tally, damaging: OfModel) -> None:
    for rev_id in (1, 2, 3):
        tally.take(SOURCE, orjson.dumps(edit(rev_id=rev_id)), NOW - 8 + rev_id, NOW)
    assert (damaging.waiting, damaging.waiting_since) == (3, NOW - 7)
    tally.take(OF_DAMAGING, score(edit(rev_id=1)), NOW - 4, NOW)
    tally.take(FAILED, failure(edit(rev_id=2), "503: no healthy upstream"), NOW - 3, NOW)
    assert (damaging.waiting, damaging.waiting_since) == (1, NOW - 5)
    assert damaging.failures.total == {"503: no healthy upstream": 1}
    assert [(each.asked, each.scored, each.failed, each.seconds) for each in damaging.last(2, NOW + 5)] == [
        (3, 0, 0, []),
        (0, 1, 1, [3.0]),
    ]
    assert (tally.edits.total, tally.scores.total, tally.failures.total) == (
        {"enwiki": 3},
        {"enwiki": 1},
        {"enwiki": 1},
    )


def test_a_score_that_is_read_before_its_edit_is_counted_once(tally: Tally, damaging: OfModel) -> None:
    tally.take(OF_DAMAGING, score(edit(rev_id=1)), NOW - 1, NOW)
    tally.take(SOURCE, orjson.dumps(edit(rev_id=1)), NOW - 3, NOW)
    assert damaging.waiting == 0
    assert [(each.asked, each.scored, each.seconds) for each in damaging.last(1, NOW + 5)] == [(1, 1, [2.0])]


def test_a_repeat_leaves_the_figures_as_they_are_but_for_what_came(tally: Tally, damaging: OfModel) -> None:
    tally.take(SOURCE, orjson.dumps(edit(rev_id=1)), NOW - 2, NOW)
    for _ in range(3):
        tally.take(OF_DAMAGING, score(edit(rev_id=1)), NOW - 1, NOW)
    assert damaging.waiting == 0
    assert [(each.scored, each.seconds) for each in damaging.last(1, NOW + 5)] == [(3, [1.0])]


@pytest.mark.parametrize(
    "garbage", [b"", b"not json", b"[]", b"{}", b'{"database": 7, "rev_id": "x"}', b"\xff\x00", None]
)
def test_garbage_changes_no_figure(tally: Tally, damaging: OfModel, garbage: bytes | None) -> None:
    for topic in (SOURCE, OF_DAMAGING, FAILED):
        tally.take(topic, garbage, NOW, NOW)
    assert (damaging.waiting, damaging.failures.total, tally.edits.total, list(tally.latest)) == (
        0,
        {},
        {},
        [],
    )
    assert tally.unreadable == {OF_DAMAGING: 1, FAILED: 1}


def test_a_canary_and_a_failure_before_any_model_are_told_apart(tally: Tally) -> None:
    tally.take(SOURCE, orjson.dumps(edit(meta={"domain": "canary"})), NOW, NOW)
    tally.take(FAILED, failure({}, "no $schema", None, "ReadEvents"), NOW, NOW)
    assert (tally.edits.total, tally.without_model.total) == ({}, {"no $schema": 1})
    assert tally.last_event == NOW


def test_what_was_asked_before_anything_was_heard_of_the_stream_is_not_waited_for(
    tally: Tally, damaging: OfModel
) -> None:
    for rev_id, at in ((1, NOW - 500), (2, NOW - 100), (3, NOW - 20)):
        tally.take(SOURCE, orjson.dumps(edit(rev_id=rev_id)), at, NOW)
    tally.take(OF_DAMAGING, score(edit(rev_id=2)), NOW - 99, NOW)
    tally.begin()
    assert (damaging.waiting, damaging.waiting_since) == (1, NOW - 20)


def test_what_never_comes_is_given_up_unless_its_model_is_parked(tally: Tally, damaging: OfModel) -> None:
    tally.take(SOURCE, orjson.dumps(edit(rev_id=1)), NOW, NOW)
    tally.forget(NOW + 4000, {"damaging"})
    assert damaging.waiting == 1
    tally.forget(NOW + 4000, set())
    assert (damaging.waiting, damaging.given_up) == (0, 1)


def test_what_claims_to_come_from_the_future_or_from_long_ago_has_no_line(
    tally: Tally, damaging: OfModel
) -> None:
    tally.take(SOURCE, orjson.dumps(edit(rev_id=1)), NOW + 1e9, NOW)
    tally.take(SOURCE, orjson.dumps(edit(rev_id=2)), 0.0, NOW)
    assert sum(each.asked for each in damaging.all(NOW + 5)) == 1
    assert damaging.waiting == 2


def test_counts_are_of_ten_minutes() -> None:
    counts = RecentCounts()
    counts.add("enwiki", NOW, NOW)
    counts.add("enwiki", NOW + 300, NOW + 300)
    counts.forget(NOW + 650)
    assert counts.total == {"enwiki": 1}
    assert counts.per_s(1, NOW + 305) == 0.2


def test_a_score_is_shown_with_its_words_and_its_diff(tally: Tally) -> None:
    tally.take(OF_DAMAGING, score(edit(rev_id=7, page_title="<b>Ä_‮x")), NOW, NOW)
    tally.take(
        OF_DAMAGING,
        score(edit(rev_id=8, meta={"domain": 'evil.example/"><script>', "dt": "2023-11-14T22:13:22Z"})),
        NOW,
        NOW,
    )
    (first, second) = tally.latest
    assert (first.title, first.said, first.diff) == (
        "<b>Ä ‮x",
        "false (true 0.125)",
        "https://en.wikipedia.org/w/index.php?diff=7",
    )
    assert second.diff is None


# verdicts


def of(*, asked: list[float], answered: Mapping[int, float], failed: tuple[int, ...] = ()) -> OfModel:
    """A model whose edits came so many seconds before NOW, and of which some were answered so many seconds
    before NOW."""
    model = OfModel(3600)
    steps = [(before, "asked", index) for index, before in enumerate(asked)] + [
        (before, "answered", index) for index, before in answered.items()
    ]
    for before, what, index in sorted(steps, key=lambda step: (-step[0], step[1] == "answered")):
        if what == "asked":
            model.asked(("enwiki", index), NOW - before, NOW)
        else:
            model.answered(
                ("enwiki", index), NOW - before, NOW, "503: no upstream" if index in failed else None
            )
    return model


STEADY = [60.0 - index for index in range(50)]
QUICK = {index: before - 0.5 for index, before in enumerate(STEADY)}


USUAL = Verdict("ok", "Half of the scores come within 0.50 s of the edit, 99 of 100 within 0.50 s.")
ALL_BUT_THREE = {index: before for index, before in QUICK.items() if index < 26} | {
    30: 25.0,
    31: 24.0,
    32: 12.5,
}
BROKEN = (
    "It gives no sign of life, and gets a probe now and then. 3 edits wait, the oldest for 9 s; none is lost."
)
HUNG = "No answer for 15 s. " + BROKEN.replace("9 s", "15 s")
PARKED = "Parked in the models file (concurrency: 0): "


@pytest.mark.parametrize(
    ("model", "gauges", "is_parked", "wanted"),
    [
        (
            of(asked=[], answered={}),
            {},
            False,
            Verdict("idle", "No edit asked for it in the last ten minutes."),
        ),
        (of(asked=[3.0], answered={}), {}, False, Verdict("ok", "1 edit waits, for 3 s.")),
        (of(asked=STEADY, answered=QUICK), {}, False, USUAL),
        (of(asked=STEADY, answered=QUICK), {"broken": 0}, False, USUAL),
        (of(asked=[*STEADY, 9.0, 8.0, 7.0], answered=QUICK), {"broken": 1}, False, Verdict("broken", BROKEN)),
        (of(asked=[15.0, 14.0, 13.0], answered={}), {"broken": 1}, False, Verdict("broken", HUNG)),
        (
            of(asked=[90.0, 5.0], answered={}),
            {"broken": 1},
            True,
            Verdict("parked", f"{PARKED}2 edits wait, the oldest for 1 min 30 s; none is lost."),
        ),
        (of(asked=[], answered={}), {}, True, Verdict("parked", f"{PARKED}no edit waits.")),
        (
            of(asked=[15.0, 14.0, 13.0], answered={}),
            {},
            False,
            Verdict("silent", "No answer for 15 s. 3 edits wait, the oldest for 15 s."),
        ),
        (of(asked=[15.0, 14.0], answered={}), {}, False, Verdict("ok", "2 edits wait, the oldest for 15 s.")),
        (
            of(asked=[31.0], answered={}),
            {},
            False,
            Verdict("silent", "No answer for 31 s. 1 edit waits, for 31 s."),
        ),
        (
            of(asked=STEADY, answered=QUICK, failed=(40, 41, 42)),
            {},
            False,
            Verdict(
                "failing",
                "3 of the 50 answers of the last minute are failures, most of them: 503: no upstream.",
            ),
        ),
        (
            of(asked=STEADY, answered=ALL_BUT_THREE),
            {},
            False,
            Verdict(
                "slow",
                "Slower than usual: half of the scores take more than 5 s, in the last ten minutes 0.50 s.",
            ),
        ),
        (
            of(asked=[70.0, *STEADY], answered={index + 1: before for index, before in QUICK.items()}),
            {},
            False,
            Verdict("slow", "Some calls are tried again: 1 edit waits, for 1 min 10 s."),
        ),
    ],
)
def test_a_model_is_told_in_a_word_and_a_sentence(
    model: OfModel, gauges: Mapping[str, float], is_parked: bool, wanted: Verdict
) -> None:
    assert verdict(model, 1, is_parked, TIMEOUT_S, gauges, NOW) == wanted


def test_of_many_endpoints_it_is_told_how_many_are_broken() -> None:
    told = verdict(of(asked=[1.0], answered={}), 35, False, TIMEOUT_S, {"broken": 3}, NOW).text
    assert told.startswith(
        "3 of its 35 endpoints give no sign of life, and get a probe now and then. 1 edit waits"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.034, "0.03 s"),
        (1.26, "1.3 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# boards


def test_a_board_of_a_broker_that_never_was_says_so_and_shows_every_model(tmp_path: Path) -> None:
    configuration = models(tmp_path, "damaging", "goodfaith", more=", concurrency: 0")
    tally = Tally(configuration)
    messages = Messages(Kafka("127.0.0.1:1"), tally.topics)
    assert messages.take(0.01) == []
    board = BoardMaker(configuration, tally, messages, None, Links()).board(NOW)
    messages.close()
    assert board["headline"]["state"] == "stopped"
    assert board["headline"]["text"].startswith("No broker answers at 127.0.0.1:1 (")
    assert [(model["name"], model["state"], model["waiting"]) for model in board["models"]] == [
        ("damaging", "parked", 0),
        ("goodfaith", "parked", 0),
    ]


# the headline

OK, SILENT = Verdict("ok", "Half of the scores come."), Verdict("silent", "No answer for 15 s.")
JOB = Condition(
    ("flink",), STOPPED, "no JobManager answers at a:1; nothing is scored until then", "Flink runs the job"
)
BAD = Condition(
    ("model", "damaging", "broken", "503"),
    ILL,
    "damaging is broken: an endpoint answers 503",
    "well",
    frozenset(["damaging"]),
)
LAG = Condition(("lag",), ILL, "the stream is 2,000 events behind", "it catches up")


REFUSED = Condition(
    ("stream", "codfw.mediawiki.revision-score-damaging"),
    ILL,
    "the output stream x is not taken: 3 events wait",
    "it is taken again",
)


def test_a_model_is_as_the_cause_says_or_as_its_stream_is_taken() -> None:
    stream = "mediawiki.revision-score-damaging"
    not_taken = Verdict("refused", "The output stream x is not taken: 3 events wait")
    assert of_cause("damaging", stream, [LAG, REFUSED]) == not_taken
    assert of_cause("damaging", stream, [REFUSED, BAD]) == Verdict("broken", "An endpoint answers 503")
    assert of_cause("goodfaith", "mediawiki.revision-score-goodfaith", [LAG, REFUSED, BAD]) is None


@pytest.mark.parametrize(
    ("conditions", "of_page", "verdicts", "wanted"),
    [
        ([], [], {"a": OK, "b": OK}, Headline("well", "All is well: 2 models.")),
        ([], [], {"a": OK, "b": Verdict("parked", "")}, Headline("well", "All is well: 2 models, b parked.")),
        ([], [], {"a": OK, "b": SILENT}, Headline("ill", "b is silent.")),
        (
            [BAD],
            [],
            {"damaging": SILENT, "b": SILENT},
            Headline("ill", "damaging is broken: an endpoint answers 503.", ("b is silent.",)),
        ),
        (
            [LAG, BAD],
            [],
            {"damaging": OK},
            Headline(
                "ill", "The stream is 2,000 events behind.", ("damaging is broken: an endpoint answers 503.",)
            ),
        ),
        (
            [JOB, BAD],
            ["no event came for 2 min"],
            {"damaging": SILENT},
            Headline("stopped", "No JobManager answers at a:1; nothing is scored until then."),
        ),
        ([], ["no event came for 2 min"], {"a": OK}, Headline("stopped", "No event came for 2 min.")),
    ],
)
def test_the_headline_is_the_cause(
    conditions: list[Condition], of_page: list[str], verdicts: Mapping[str, Verdict], wanted: Headline
) -> None:
    assert headline(conditions, of_page, verdicts) == wanted


def test_many_silent_models_are_one_sentence_about_the_stream() -> None:
    sentence = "no score of any model came for 40 s: no stream runs, or what it needs is away"
    assert list(all_silent({"a": SILENT, "b": SILENT, "c": SILENT, "d": Verdict("idle", "")}, 40.0)) == [
        sentence
    ]
    assert list(all_silent({"a": SILENT, "b": SILENT, "c": OK}, 40.0)) == []
    assert list(all_silent({"a": SILENT, "b": SILENT}, 40.0)) == []


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
    found, body = readiness.readyz(board, cast(Looks, Seen(flink)), NOW)
    assert (found, body["why"]) == (status, why)
    assert readiness.healthz(board, NOW)[0] == (200 if board else 503)


# the server


def test_probes_are_answered_with_their_status() -> None:
    server = PageServer("127.0.0.1", 0, Events(), {"/readyz": lambda: (503, {"why": ["x"]})})
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


def test_a_hundred_readers_come_at_once() -> None:
    server = PageServer("127.0.0.1", 0, Events())
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
    server = PageServer("127.0.0.1", 0, Events())
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
    server = PageServer("127.0.0.1", 0, Events(), hosts=Hosts("watch.example.org, other.example.org"))
    with requests.get(server.url + path, headers={"Host": host}, timeout=5, stream=True) as answer:
        assert answer.status_code == status
    server.shutdown()
    server.server_close()


def test_wrong_uses_end_with_one_line(tmp_path: Path) -> None:
    server = PageServer("127.0.0.1", free_port(), Events())
    done = run("pipeline", "watch", "--kafka", "127.0.0.1:1", "--port", str(server.server_port))
    server.shutdown()
    server.server_close()
    line = (
        f"revision-scores watch: --port: 127.0.0.1:{server.server_port} cannot be listened on: Address "
        "already in use; name another one\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
