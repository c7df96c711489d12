"""`live` as people run it: over cuts and kills, with a token, and the public gateway."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from runners.programs import Program
from runners.simulated_lift_wing.gateway import PUBLIC
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import wrong_use
from tests.support.event_streams import EventStreamsServer
from tests.support.public_edits import both, event


def live(server: EventStreamsServer, lift_wing: SimulatedLiftWing, *options: str) -> Program:
    where = [
        "--streams",
        server.url,
        "--lift-wing",
        lift_wing.url + PUBLIC,
        "--wikis",
        "enwiki",
        "--only",
        "damaging",
        "--max-rate",
        "1000",
    ]
    return Program("pipeline", "live", *where, *options)  # of an option given twice the last counts


def written(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for file in folder.glob("*.jsonl") for line in file.read_bytes().splitlines()]


def test_scores_are_shown_and_written_over_cuts_kills_and_garbage(
    lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    with EventStreamsServer(cut_after=9) as server:
        for each in both(40):
            server.add(*each)
        server.add("eqiad.edits", b"{broken", "2026-01-01T00:00:00.010Z")
        with live(
            server, lift_wing, "--output", str(tmp_path / "out"), "--since", "2026-01-01T00:00"
        ) as program:
            program.wait_for("rev=|diff=1039")
            shown = program.wait_for(
                r"^\d\d:\d\d:\d\d enwiki  War_on_terror  damaging: (true|false) \(true 0\.\d{3}\)  "
                r"https://en.wikipedia.org/w/index.php\?diff=1000\n"
            )
            assert shown
            program.wait_for("^failed: ReadEvents: not JSON")
            program.process.kill()
        for number in range(40, 60):
            server.add(*event(number, page_title="\x1b[31mred <b>"))
        with live(server, lift_wing, "--output", str(tmp_path / "out")) as program:
            program.wait_for(r"enwiki  \\u001b\[31mred <b>  damaging: .*diff=1059")
            assert program.stop() == 0
        scores = [each for each in written(tmp_path / "out") if "scores" in each]
        assert sorted(each["rev_id"] for each in scores) == [1000 + number for number in range(60)]
        assert len({each["meta"]["id"] for each in scores}) == 60
        assert server.requests[0][0] == "/v2/stream/mediawiki.revision-create"


def test_an_expired_token_fails_no_edit(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    """It is said once, the place stays, and it goes on when it works again."""
    out = tmp_path / "out"
    with EventStreamsServer() as server:
        for each in both(5):
            server.add(*each)
        with live(server, lift_wing, "--output", str(out), "--since", "2026-01-01T00:00") as program:
            program.wait_for("diff=1004")
            place = wait_for_place(out)
            lift_wing.control(mode="status", status=401, body="Unauthorized")
            for number in range(5, 25):
                server.add(*event(number))
            program.wait_for("^Lift Wing gives no score: 401: Unauthorized; the place is kept until it does")
            lift_wing.forget()
            until = time.monotonic() + 30
            while not lift_wing.calls() and time.monotonic() < until:  # it asks again
                time.sleep(0.1)
            assert (out / "position.json").read_bytes() == place
            lift_wing.clear()
            program.wait_for("^Lift Wing gives scores again")
            program.wait_for("diff=1024")
            assert program.stop() == 0
            assert sum("gives no score" in line for line in program.lines) == 1
        assert sorted(each["rev_id"] for each in written(out)) == [1000 + number for number in range(25)]


def wait_for_place(folder: Path) -> bytes:
    """The place of the last event, once it is noted."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        place = (folder / "position.json").read_bytes()
        if b'"offsets":{"' in place:
            return place
        time.sleep(0.1)
    raise AssertionError("no place was noted")


def test_what_one_endpoint_refuses_waits_for_it_over_a_kill(
    lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ["--only", "damaging,goodfaith", "--output", str(out)]
    with EventStreamsServer() as server:
        lift_wing.control(mode="status", status=403, body="RBAC: access denied", model="goodfaith")
        for each in both(5):
            server.add(*each)
        with live(server, lift_wing, *options, "--since", "2026-01-01T00:00") as program:
            program.wait_for("^enwiki-goodfaith gives no score: 403: RBAC: access denied; its edits wait")
            program.wait_for("damaging: .*diff=1004")
            wait_for_place(out)
            program.process.kill()
        lift_wing.clear()
        with live(server, lift_wing, *options) as program:
            program.wait_for("goodfaith: .*diff=1004")
            assert program.stop() == 0
        assert (out / "waiting.ndjson").read_bytes() == b""
        assert sorted((each["rev_id"], *each["scores"]) for each in written(out)) == [
            (1000 + number, model) for number in range(5) for model in ("damaging", "goodfaith")
        ]


def test_it_ends_after_so_many_and_says_when_the_stream_is_refused(
    lift_wing: SimulatedLiftWing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with EventStreamsServer() as server:
        for each in both(5):
            server.add(*each)
        with live(server, lift_wing, "--events", "5", "--since", "2026-01-01T00:00") as program:
            assert program.process.wait(60) == 0
    with EventStreamsServer(refusals=[400]) as server:
        assert threading.current_thread() is threading.main_thread()
        assert wrong_use("live", "--streams", server.url, "--lift-wing", lift_wing.url) == 2
        assert "--streams: http://127.0.0.1" in capsys.readouterr().err
    assert wrong_use("live", "--max-rate", "0") == 2
    assert (
        capsys.readouterr().err
        == "revision-scores live: --max-rate: expected a number of calls a second above 0, got 0\n"
    )


def test_the_public_gateway_is_asked_by_path_with_a_token(lift_wing: SimulatedLiftWing) -> None:
    from dataclasses import replace

    from pipeline.config.models_file import load
    from tests.support.events import ROOT
    from tests.support.lift_wing import PATIENCE_S, asked
    from transforms.elements import Score
    from transforms.lift_wing.client import LiftWingClient

    settings = replace(
        load(ROOT / "pipeline" / "models.yaml").lift_wing,
        url=lift_wing.url + PUBLIC,
        by_host=False,
        token="secret",
    )
    assert "secret" not in repr(settings)
    public = LiftWingClient(settings)
    assert isinstance(asked(public).result(PATIENCE_S).result, Score)
    public.close()
