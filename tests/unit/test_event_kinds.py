"""Event kinds as ORES had them."""

from __future__ import annotations

from typing import Any

import pytest

from transforms.models.event_kinds import EVENT_KINDS

HUMAN_EDIT = {
    "page_namespace": 0,
    "rev_parent_id": 7,
    "performer": {"user_groups": ["*", "user"], "user_is_bot": False},
}
BOT_EDIT = {
    "page_namespace": 0,
    "rev_parent_id": 7,
    "performer": {"user_groups": ["bot", "*", "user"], "user_is_bot": True},
}


def kinds(event: dict[str, Any]) -> set[str]:
    return {name for name, is_of_kind in EVENT_KINDS.items() if is_of_kind(event)}


def test_there_are_ores_eight_kinds():
    assert set(EVENT_KINDS) == {
        "edit",
        "main_edit",
        "bot_edit",
        "nonbot_edit",
        "page_creation",
        "main_creation",
        "bot_page_creation",
        "nonbot_page_creation",
    }


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (HUMAN_EDIT, {"edit", "main_edit", "nonbot_edit"}),
        (BOT_EDIT, {"edit", "main_edit", "bot_edit"}),
        (HUMAN_EDIT | {"page_namespace": 1}, {"edit", "nonbot_edit"}),
        (
            BOT_EDIT | {"rev_parent_id": 0},
            {"edit", "main_edit", "bot_edit", "page_creation", "main_creation", "bot_page_creation"},
        ),
        (
            HUMAN_EDIT | {"rev_parent_id": None, "page_namespace": 2},
            {"edit", "nonbot_edit", "page_creation", "nonbot_page_creation"},
        ),
        (
            {"page_namespace": 0},
            {"edit", "main_edit", "nonbot_edit", "page_creation", "main_creation", "nonbot_page_creation"},
        ),
        # the group decides, not the flag
        (
            HUMAN_EDIT | {"performer": {"user_groups": ["user"], "user_is_bot": True}},
            {"edit", "main_edit", "nonbot_edit"},
        ),
    ],
)
def test_an_event_is_of_these_kinds(event, expected):
    assert kinds(event) == expected


@pytest.mark.parametrize(
    "performer",
    [
        None,
        "bot",
        ["bot"],
        7,
        {},
        {"user_groups": None},
        {"user_groups": "robot"},
        {"user_groups": {"bot": 1}},
        {"user_groups": [None, ["bot"]]},
    ],
)
def test_a_performer_that_is_none_is_no_bot(performer):
    assert kinds(HUMAN_EDIT | {"performer": performer}) == {"edit", "main_edit", "nonbot_edit"}


def test_a_namespace_or_a_parent_of_another_type_is_neither_main_nor_missing():
    assert kinds({"page_namespace": False, "rev_parent_id": []}) == {"edit", "nonbot_edit"}
    assert kinds({"page_namespace": "0", "rev_parent_id": False}) == {"edit", "nonbot_edit"}
