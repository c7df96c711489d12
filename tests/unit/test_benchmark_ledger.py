"""The benchmarks of the stream count each request exactly."""

from __future__ import annotations

import math
import uuid

import orjson
import pytest

from tests.benchmarks.edits import FIRST_REVISION, Edits
from tests.benchmarks.ledger import Ledger, Request
from transforms.models.model import Configuration
from transforms.models.selection import Selection

ID, OTHER = str(uuid.UUID(int=1 << 100)), str(uuid.UUID(int=2 << 100))


@pytest.fixture(scope="module")
def edits(shipped: Configuration) -> Edits:
    return Edits(shipped)


def test_requests_are_numbered_as_the_rules_select_them(shipped: Configuration, edits: Edits) -> None:
    selection, number = Selection(shipped.models), 0
    for event in range(len(edits.edits) + 50):
        message = orjson.loads(edits.message(event, 1_700_000_000.5))
        endpoints = selection.endpoints(message)
        assert (message["rev_id"], message["meta"]["dt"]) == (
            FIRST_REVISION + event,
            "2023-11-14T22:13:20.500Z",
        )
        assert list(edits.requests_of(event)) == [
            (number + index, endpoint.model) for index, endpoint in enumerate(endpoints)
        ]
        assert [
            edits.request(endpoint.model, endpoint.wiki, message["rev_id"]) for endpoint in endpoints
        ] == list(range(number, number + len(endpoints)))
        number += len(endpoints)


def test_what_nobody_asked_for_has_no_number(edits: Edits) -> None:
    edit = edits.edit(3)
    assert edits.request(edit.models[0], edit.wiki, FIRST_REVISION + 3) is not None
    assert edits.request(edit.models[0], "nowiki", FIRST_REVISION + 3) is None
    assert edits.request("draftquality", edit.wiki, FIRST_REVISION + 3) is None
    assert edits.request(edit.models[0], edit.wiki, FIRST_REVISION - 1) is None


def test_the_ledger_knows_what_is_scored_failed_missing_and_twice(edits: Edits) -> None:
    ledger = Ledger(edits)
    for second in (10.0, 20.0, 30.0):
        ledger.send(second)
    (wiki, model), (other_wiki, other_model) = (
        (edits.edit(event).wiki, edits.edit(event).models[0]) for event in (0, 1)
    )
    ledger.score(model, wiki, FIRST_REVISION, ID, 11.0)
    ledger.score(model, wiki, FIRST_REVISION, ID, 12.0)
    ledger.score(model, wiki, FIRST_REVISION, OTHER, 13.0)
    ledger.fail(other_model, other_wiki, FIRST_REVISION + 1)
    ledger.fail(model, wiki, FIRST_REVISION)  # a score and a failure are one fate
    # of the next round, which was not sent
    ledger.score(model, wiki, FIRST_REVISION + len(edits.edits), ID, 14.0)
    asked = sum(len(edits.edit(event).models) for event in range(3))
    assert (ledger.events, ledger.requests, ledger.done) == (3, asked, 2)
    assert (ledger.repeats, ledger.repeats_with_another_id, ledger.foreign) == (2, 1, 1)
    assert ledger.open_of(set(ledger.sent_of)) == asked - 2
    requests = list(ledger.all())
    assert len(requests) == asked
    assert requests[0] == Request(0, model, 10.0, 11.0, 3, 1)
    assert next(request for request in requests if request.event == 1) == Request(
        1, other_model, 20.0, 0.0, 0, 1
    )
    assert {request.event for request in ledger.all(since=20.0, until=30.0)} == {1}


def test_the_overhead_is_the_time_less_the_call_and_infinite_without_a_score(edits: Edits) -> None:
    ledger = Ledger(edits)
    ledger.send(10.0)
    edit = edits.edit(0)
    for number, model in enumerate(edit.models[:-1], 1):
        ledger.score(model, edit.wiki, FIRST_REVISION, ID, 11.0 + number)
    added = ledger.overheads(lambda wiki, model, rev_id, attempt: 0.5, edit.models, 0.0)
    assert added == [*(0.5 + number for number in range(1, len(edit.models))), math.inf]
