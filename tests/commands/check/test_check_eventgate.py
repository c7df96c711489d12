"""What `check` asks an EventGate."""

from __future__ import annotations

import pytest

import schemas
from pipeline.checks import eventgate as check_eventgate
from pipeline.checks.findings import UNSEEN
from tests.support.eventgate import EventGateServer
from tests.support.loopback import Handler, LoopbackServer

SCORES = "mediawiki.revision-score-damaging"
SCORE_SCHEMA = "/mediawiki/revision/score/3.0.0"


def test_an_eventgate_is_asked_for_each_stream_and_produces_nothing() -> None:
    streams = {SCORES: SCORE_SCHEMA, "mediawiki.revision-score.error": schemas.ERROR}
    with EventGateServer(streams) as gate:
        text = f"{gate.url} takes bodies of 4,000,000 bytes, and knows the 2 streams and their schemas"
        assert [*check_eventgate.look(gate.url, streams)] == [("ok", "eventgate", text)]
        assert gate.events == {}
    with EventGateServer([SCORES]) as gate:
        (refused,) = check_eventgate.look(gate.url, streams)
    assert refused.state == "wrong"
    assert refused.text.startswith(
        f"{gate.url} does not take mediawiki.revision-score.error with schema {schemas.ERROR}: event check-1"
    )


class _Small(Handler):
    def do_POST(self) -> None:  # noqa: N802
        length = int(self.headers["Content-Length"])
        self.rfile.read(length)
        self.send_response(413 if length > self.server_of.most else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()


class SmallGate(LoopbackServer):
    """A proxy that takes bodies up to a size."""

    handler, path = _Small, "/v1/events"

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most


@pytest.mark.parametrize(("most", "wanted"), [(100_000, ["wrong", UNSEEN]), (1_500_000, [UNSEEN])])
def test_a_gateway_that_takes_but_small_bodies_is_wrong(most: int, wanted: list[str]) -> None:
    with SmallGate(most) as gate:
        found = list(check_eventgate.look(gate.url, {SCORES: SCORE_SCHEMA}))
    assert [finding.state for finding in found] == wanted
    if most < 1_000_000:
        assert "expected to take a body of 1,000,000 bytes, got 413 of 1,000,000" in found[0].text


def test_the_probe_of_a_stream_is_no_event_that_could_be_produced() -> None:
    (probe,) = check_eventgate._probes({SCORES: SCORE_SCHEMA})
    with pytest.raises(schemas.InvalidEventError):
        schemas.validator(SCORE_SCHEMA)(probe)
