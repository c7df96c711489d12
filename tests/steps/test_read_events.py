"""What is an event, what is not and why, and what the first step makes of either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from tests.support.events import ABSENT, edit
from transforms.elements import Failure, SourceRecord
from transforms.events.parsing import NotAnEventError, check, event_in, is_canary, parse, why_dropped
from transforms.events.source_events import (
    PAGE_CHANGE,
    REVISION_CREATE,
    event_of,
    rev_id_of,
    source_of,
    wiki_of,
)
from transforms.read_events import ReadEvents

EXPECTED = "expected /mediawiki/revision/create/1.x or 2.x, or /mediawiki/page/change/1.x"
PARTITION = "datacenter=codfw/year=2021/month=8/day=27/hour=13"


def not_json(text: bytes) -> str:
    """In the words of the parser, which its next version may change."""
    with pytest.raises(orjson.JSONDecodeError) as error:
        orjson.loads(text)
    return f"not JSON: {error.value}"


NOT_EVENTS: list[tuple[Any, str]] = [
    *[(text, not_json(text)) for text in (b"", b"nonsense", b'{"rev_id": 1', b'{"rev_id": NaN}', b"{}{}")],
    (b'"\xff"', "expected a JSON object, got str"),
    (b"[]", "expected a JSON object, got list"),
    (b"null", "expected a JSON object, got NoneType"),
    (b'"text"', "expected a JSON object, got str"),
    (b"7", "expected a JSON object, got int"),
    ({}, f"no $schema; {EXPECTED}"),
    (edit(**{"$schema": ABSENT, "meta": ABSENT}), f"no $schema; {EXPECTED}"),
    (
        edit(
            **{
                "$schema": None,
                "meta": {"schema_uri": "mediawiki/revision/score/1", "stream": "mediawiki.revision-create"},
            }
        ),
        f"no $schema; {EXPECTED}",
    ),
    (
        edit(**{"$schema": ABSENT, "meta": {"stream": "mediawiki.revision-tags-change"}}),
        f"no $schema; {EXPECTED}",
    ),
    (
        edit(**{"$schema": ABSENT, "meta": {"schema_uri": 7, "topic": ["mediawiki.revision-create"]}}),
        f"no $schema; {EXPECTED}",
    ),
    (
        edit(
            **{
                "$schema": ABSENT,
                "dt": ABSENT,
                "rev_timestamp": ABSENT,
                "meta": {"topic": "mediawiki.revision-create"},
            }
        ),
        f"no $schema; {EXPECTED}",
    ),
    (edit(**{"$schema": 7}), f"unknown $schema 7; {EXPECTED}"),
    (
        edit(**{"$schema": "/mediawiki/page/change/2.0.0"}),
        f"unknown $schema '/mediawiki/page/change/2.0.0'; {EXPECTED}",
    ),
    (
        edit(**{"$schema": "/mediawiki/revision/create/3.0.0"}),
        f"unknown $schema '/mediawiki/revision/create/3.0.0'; {EXPECTED}",
    ),
    (
        edit(**{"$schema": "/mediawiki/revision/create/2.0.0/"}),
        f"unknown $schema '/mediawiki/revision/create/2.0.0/'; {EXPECTED}",
    ),
    (edit(database=ABSENT), "database: expected the name of a wiki, got nothing"),
    (edit(database=None), "database: expected the name of a wiki, got nothing"),
    (edit(database=""), "database: expected the name of a wiki, got ''"),
    (edit(database=7), "database: expected the name of a wiki, got 7"),
    (edit(database=["enwiki"]), "database: expected the name of a wiki, got ['enwiki']"),
    (edit(rev_id=ABSENT), "rev_id: expected a whole number, got nothing"),
    (edit(rev_id=None), "rev_id: expected a whole number, got nothing"),
    (edit(rev_id="1040920135"), "rev_id: expected a whole number, got '1040920135'"),
    (edit(rev_id=1.5), "rev_id: expected a whole number, got 1.5"),
    (edit(rev_id=7.0), "rev_id: expected a whole number, got 7.0"),
    (edit(rev_id=True), "rev_id: expected a whole number, got True"),
    (edit(rev_id=-1), "rev_id: expected a whole number, got -1"),
    (edit(rev_id=2**53), "rev_id: expected a whole number, got 9007199254740992"),
    (edit(rev_id=2**63), "rev_id: expected a whole number, got 9223372036854775808"),
    (edit(rev_id="x" * 1000), f"rev_id: expected a whole number, got '{'x' * 99}"),
]


def canary() -> dict[str, Any]:
    """As EventBus sends it: the example of the schema, which is no edit."""
    return {
        "$schema": "/mediawiki/revision/create/2.0.0",
        "meta": {"domain": "canary", "stream": "mediawiki.revision-create"},
    }


def as_text(data: bytes | Mapping[str, Any]) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else orjson.dumps(data).decode()


@pytest.mark.parametrize(("data", "problem"), NOT_EVENTS)
def test_what_is_no_event_is_told_why(data: bytes | dict[str, Any], problem: str) -> None:
    text = data if isinstance(data, bytes) else orjson.dumps(data)
    with pytest.raises(NotAnEventError) as error:
        event_in(SourceRecord(text, "eqiad"))
    assert str(error.value) == problem


def test_what_json_allows_is_an_event() -> None:
    """A key that comes twice counts as it comes last; NUL is a character like others when it is escaped."""
    text = orjson.dumps(edit(comment="\0", rev_id=7)).replace(b'"rev_id":7', b'"rev_id":6,"rev_id":7')
    assert text.count(b'"rev_id"') == 2
    assert b"\\u0000" in text
    assert event_in(SourceRecord(text, "eqiad")) == edit(comment="\0", rev_id=7)


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.17.3"])
def test_every_first_and_second_version_is_an_event(version: str) -> None:
    event = edit(**{"$schema": f"/mediawiki/revision/create/{version}"})
    check(event)
    assert event_in(SourceRecord(orjson.dumps(event), "eqiad")) == event


HISTORY = {"$schema": ABSENT, "dt": ABSENT}


@pytest.mark.parametrize(
    "meta",
    [
        {
            "schema_uri": "mediawiki/revision/create/1",
            "topic": "mediawiki.revision-create",
            "dt": "2017-03-01T00:00:00+00:00",
        },
        {"schema_uri": "mediawiki/revision/create/3", "stream": "mediawiki.revision-create"},
        {"schema_uri": None, "topic": "mediawiki.revision_create"},
        {"topic": "eqiad.mediawiki.revision-create"},
    ],
)
def test_a_revision_create_of_before_2019_is_an_event(meta: dict[str, Any]) -> None:
    event = edit(**HISTORY, meta=meta)
    assert event_in(SourceRecord(orjson.dumps(event), "eqiad")) == event
    assert (source_of(event), wiki_of(event), rev_id_of(event)) == (REVISION_CREATE, "enwiki", 1040920135)


def test_the_schema_decides_which_kind_an_event_is() -> None:
    """Whatever fields it has beside those of its kind."""
    created = edit(wiki_id=["frwiki"], revision=7)
    changed = page_change(database=["frwiki"], rev_id="7")
    for event in (created, changed):
        assert event_in(SourceRecord(orjson.dumps(event), "eqiad")) == event
    assert (source_of(created), wiki_of(created), rev_id_of(created)) == (
        REVISION_CREATE,
        "enwiki",
        1040920135,
    )
    assert (source_of(changed), wiki_of(changed), rev_id_of(changed)) == (PAGE_CHANGE, "enwiki", 7)
    assert (source_of({"wiki_id": "enwiki"}), source_of({"wiki_id": "enwiki", "database": "enwiki"})) == (
        PAGE_CHANGE,
        REVISION_CREATE,
    )


def page_change(**fields: Any) -> dict[str, Any]:
    return {
        "$schema": "/mediawiki/page/change/1.3.0",
        "meta": {"stream": "s"},
        "wiki_id": "enwiki",
        "revision": {"rev_id": 7},
        **fields,
    }


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb"cut in an emoji \ud83d", "cut in an emoji \ufffd"),
        (rb"\udc00\ud800\ud83d\ude00\\ud800", "\ufffd\ufffd\U0001f600\\ud800"),
        (b"latin \xe9, cesu \xed\xa0\x80", "latin \ufffd, cesu \ufffd\ufffd\ufffd"),
    ],
)
def test_letters_that_are_none_cost_no_event(text: bytes, read: str) -> None:
    """As JSON.parse and Buffer.toString of Node.js take them."""
    text = orjson.dumps(edit(comment="HERE")).replace(b"HERE", text)
    assert event_in(SourceRecord(text, "eqiad")) == edit(comment=read)


@pytest.mark.parametrize("meta", [ABSENT, None, [], {"id": "x"}, {"stream": None}, {"stream": 7}])
def test_what_says_no_stream_is_dropped_and_no_failure(meta: Any) -> None:
    assert why_dropped(event_in(SourceRecord(orjson.dumps(edit(meta=meta)), "eqiad"))) == "no meta.stream"


def test_what_is_no_canary_and_says_its_stream_is_not_dropped() -> None:
    assert [why_dropped(raw) for raw in (edit(), canary(), page_change())] == [None, "canary event", None]


@pytest.mark.parametrize("rev_id", [0, 1, 2**53 - 1])
def test_every_revision_of_the_schema_is_an_event(rev_id: int) -> None:
    check(edit(rev_id=rev_id))


def test_an_event_that_kafka_could_not_carry_further_is_none() -> None:
    largest = orjson.dumps(edit(comment="x" * (400_000 - len(orjson.dumps(edit(comment=""))))))
    assert event_in(SourceRecord(largest, "eqiad"))["rev_id"] == edit()["rev_id"]
    with pytest.raises(NotAnEventError, match=r"^expected an event of at most 400000 bytes, got 400001$"):
        event_in(SourceRecord(largest + b" ", "eqiad"))


@pytest.mark.parametrize(("levels", "is_event"), [(198, True), (201, False)])
def test_what_nests_too_deep_is_none(levels: int, is_event: bool) -> None:
    text = orjson.dumps(edit(comment=orjson.loads("[" * levels + "0" + "]" * levels)))
    if is_event:
        assert event_in(SourceRecord(text, "eqiad"))["rev_id"] == edit()["rev_id"]
    else:
        with pytest.raises(NotAnEventError, match=r"^expected JSON of at most 200 levels$"):
            event_in(SourceRecord(text, "eqiad"))


def test_text_and_row_of_an_event_are_the_same_event() -> None:
    assert parse(orjson.dumps(edit())) == parse(orjson.dumps(edit()).decode()) == edit()
    assert event_in(SourceRecord(edit(), "eqiad")) == edit()


@pytest.mark.parametrize("meta", [{"domain": "canary"}, {"domain": "canary", "id": "x"}])
def test_a_canary_is_known_by_its_domain(meta: dict[str, str]) -> None:
    assert is_canary({"meta": meta})


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"meta": None},
        {"meta": "canary"},
        {"meta": ["canary"]},
        {"meta": {}},
        {"meta": {"domain": "canary.org"}},
        edit(),
    ],
)
def test_all_else_is_no_canary(raw: dict[str, Any]) -> None:
    assert not is_canary(raw)


def test_a_canary_need_not_be_a_whole_event() -> None:
    assert event_in(SourceRecord(canary(), "eqiad")) == canary()


def test_what_a_source_could_not_read_is_told_in_its_own_words() -> None:
    with pytest.raises(NotAnEventError, match=r"^x\.jsonl: cannot be read$"):
        event_in(SourceRecord(b"x.jsonl", "eqiad", problem="x.jsonl: cannot be read"))


def test_the_step_gives_each_element_its_fate() -> None:
    found = [
        SourceRecord(orjson.dumps(edit(rev_id=1)), "eqiad"),
        SourceRecord(edit(rev_id=2), "codfw", PARTITION),
        SourceRecord(orjson.dumps(canary()), "eqiad"),
        SourceRecord(canary(), "codfw"),
    ]
    found += [SourceRecord(data, "codfw", PARTITION) for data, _ in NOT_EVENTS]
    found.append(SourceRecord(edit(meta={"id": "x"}), "eqiad"))
    found += [
        SourceRecord(
            b"in/x.jsonl", "eqiad", problem="in/x.jsonl: cannot be read after 3 events: it broke off"
        )
    ]
    p = TestPipeline(FnApiRunner())
    read = p | ReadEvents(beam.Create(found))
    assert_that(
        read.events,
        equal_to([event_of(edit(rev_id=1), "eqiad"), event_of(edit(rev_id=2), "codfw", PARTITION)]),
        label="events",
    )
    failures = [
        Failure("ReadEvents", problem, as_text(data), "codfw", None, PARTITION)
        for data, problem in NOT_EVENTS
    ]
    failures.append(
        Failure(
            "ReadEvents",
            "in/x.jsonl: cannot be read after 3 events: it broke off",
            "in/x.jsonl",
            "eqiad",
            retryable=True,
        )
    )
    assert_that(read.failures, equal_to(failures), label="failures")
    result = p.run()
    result.wait_until_finish()
    counted = {
        counter.key.metric.name: counter.committed
        for counter in result.metrics().query()["counters"]
        if counter.key.metric.namespace == "ReadEvents"
    }
    assert counted == {
        "events": 2,
        "dropped_canary": 2,
        "dropped_no_stream": 1,
        "failures": len(NOT_EVENTS) + 1,
        "unforeseen": 0,
    }
