"""ORES' kinds of events, which a model's `on` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transforms.models.javascript_values import is_identical


def _any_event(event: Mapping[str, Any]) -> bool:
    return True


def _is_in_main(event: Mapping[str, Any]) -> bool:
    return is_identical(event.get("page_namespace"), 0)


def _is_by_bot(event: Mapping[str, Any]) -> bool:
    """Returns whether a bot made the edit. ORES asks for the group, not for `user_is_bot`; who is not known
    is no bot."""
    performer = event.get("performer")
    groups = performer.get("user_groups") if isinstance(performer, dict) else None
    return isinstance(groups, list) and "bot" in groups


def _is_creation(event: Mapping[str, Any]) -> bool:
    """Returns whether the edit made the page. EventBus leaves the parent out where there is none; older
    events, and tables, have 0 or null."""
    parent = event.get("rev_parent_id")
    return parent is None or is_identical(parent, 0)


EVENT_KINDS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "edit": _any_event,
    "main_edit": _is_in_main,
    "bot_edit": _is_by_bot,
    "nonbot_edit": lambda event: not _is_by_bot(event),
    "page_creation": _is_creation,
    "main_creation": lambda event: _is_creation(event) and _is_in_main(event),
    "bot_page_creation": lambda event: _is_creation(event) and _is_by_bot(event),
    "nonbot_page_creation": lambda event: _is_creation(event) and not _is_by_bot(event),
}
