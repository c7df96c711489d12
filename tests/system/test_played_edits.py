"""Edits that are played are of now."""

from __future__ import annotations

from runners.played_edits import made_at
from tests.support.events import edit


def test_all_times_of_an_edit_move_together() -> None:
    moved = made_at(1_700_000_004.7, edit())
    assert (moved["meta"]["dt"], moved["dt"], moved["rev_timestamp"]) == (
        "2023-11-14T22:13:24Z",
        "2023-11-14T22:13:24Z",
        "2023-11-14T22:13:23Z",
    )
    assert {**moved, "meta": 0, "dt": 0, "rev_timestamp": 0} == {
        **edit(),
        "meta": 0,
        "dt": 0,
        "rev_timestamp": 0,
    }
    assert moved["meta"]["id"] == edit()["meta"]["id"]
