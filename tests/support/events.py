"""Events and requests, and where the checkout is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from transforms.elements import ScoreRequest
from transforms.events.source_events import event_of
from transforms.models.model import Configuration

ROOT = Path(__file__).parents[2]
ABSENT = object()  # edit(rev_parent_id=ABSENT): an event without that field


_EDIT = {
    "$schema": "/mediawiki/revision/create/2.0.0",
    "meta": {
        "uri": "https://en.wikipedia.org/wiki/War_on_terror",
        "request_id": "835b4bb0-3e78-431c-89c7-e3b6a8441c86",
        "id": "040c4b69-317a-43e2-8c9c-474446e23df7",
        "dt": "2021-08-27T13:20:11Z",
        "domain": "en.wikipedia.org",
        "stream": "mediawiki.revision-create",
    },
    "dt": "2021-08-27T13:20:11Z",
    "database": "enwiki",
    "page_id": 4190179584,
    "page_title": "War_on_terror",
    "page_namespace": 0,
    "page_is_redirect": False,
    "rev_id": 1040920135,
    "rev_timestamp": "2021-08-27T13:20:10Z",
    "rev_minor_edit": True,
    "rev_len": 191919,
    "performer": {
        "user_text": "Simurghistan",
        "user_groups": ["*", "user", "autoconfirmed"],
        "user_is_bot": False,
    },
    "comment": 'added article "a"',
    "parsedcomment": "added article &quot;a&quot;",
    "rev_parent_id": 1040918697,
}


def edit(**changes: Any) -> dict[str, Any]:
    """A revision-create event as EventStreams had it, with other values for some of its fields."""
    return {name: value for name, value in {**_EDIT, **changes}.items() if value is not ABSENT}


def request(model: str = "damaging", raw: Mapping[str, Any] | None = None) -> ScoreRequest:
    raw = raw or edit()
    return ScoreRequest(event_of(raw, "eqiad"), model)


def at(configuration: Configuration, url: str, **settings: Any) -> Configuration:
    """The configuration with another Lift Wing, and other limits for its calls."""
    return replace(configuration, lift_wing=replace(configuration.lift_wing, url=url, **settings))
