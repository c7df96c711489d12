"""Answers that no server should give: each ends its own request and no other. `python -m tests.fuzz.client`
gives as many as wanted."""

from __future__ import annotations

from tests.fuzz.client import run


def test_every_odd_answer_ends_its_request_once() -> None:
    ends = run(600, seed=3)
    assert ends.total() == 600
    assert ends["Score"] > 0
    assert len(ends) > 20  # kinds of ends
