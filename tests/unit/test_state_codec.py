"""What rests in Flink's state."""

from __future__ import annotations

import apache_beam as beam
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from tests.support.events import ABSENT, edit, request
from tests.support.state import NOW, pending
from transforms.async_io.keying import KeyByBundle, KeyByEvent
from transforms.async_io.state_codec import UnknownFormatError, decode_pending, encode_pending
from transforms.events.source_events import event_of, key_of


@pytest.mark.parametrize("partition", [None, "datacenter=codfw/year=2021/month=8/day=27/hour=13"])
def test_what_rests_in_state_comes_back_as_it_was(partition: str | None) -> None:
    event = event_of(edit(comment="\u00e9\U0001f600"), "codfw", partition)
    fresh = pending(0, event=event)
    tried = pending(
        0, "goodfaith", event, tries=3, strikes=2, due=NOW + 9.5, reason="503: no healthy upstream"
    )
    assert decode_pending(encode_pending([fresh, pending(7), tried])) == [fresh, tried, pending(7)]


def test_the_format_of_what_rests_in_state_is_frozen() -> None:
    """A change of it needs a new version, and a reader of this one."""
    event = event_of(edit(), "eqiad")
    tried = pending(0, "goodfaith", event, asked_at=1.5, tries=2, strikes=1, due=9.0, reason="503: down")
    encoded = encode_pending([pending(0, event=event, asked_at=1.5), tried])
    common = {"wiki": "enwiki", "rev_id": 1040920135, "entered_at": NOW, "asked_at": 1.5}
    requests = [
        {"model": "damaging", **common, "tries": 0, "strikes": 0, "due": 0.0, "reason": ""},
        {"model": "goodfaith", **common, "tries": 2, "strikes": 1, "due": 9.0, "reason": "503: down"},
    ]
    assert orjson.loads(encoded) == {
        "v": 1,
        "events": [{"event": edit(), "datacenter": "eqiad", "partition": None, "requests": requests}],
    }


@pytest.mark.parametrize(
    "encoded", [b'[{"event":{},"datacenter":"eqiad","partition":null,"models":{}}]', b'{"v":2,"events":[]}']
)
def test_what_another_version_wrote_is_refused_with_its_format(encoded: bytes) -> None:
    with pytest.raises(
        UnknownFormatError,
        match=r"expected waiting requests in format 1, got .*; go on with the version that wrote this state",
    ):
        decode_pending(encoded)


def test_an_event_that_comes_again_has_the_same_key_and_no_other_event() -> None:
    assert (
        key_of(event_of(edit(), "eqiad"))
        == "enwiki/1040920135/040c4b69-317a-43e2-8c9c-474446e23df7"
        == key_of(event_of(edit(comment="other"), "codfw"))
    )
    assert (
        key_of(event_of(edit(meta=ABSENT), "eqiad"))
        == key_of(event_of(edit(meta=7), "eqiad"))
        == "enwiki/1040920135/None"
    )


def test_what_comes_in_one_bundle_shares_keys_and_nothing_is_left_out() -> None:
    batches = [(request(raw=edit(rev_id=rev_id)),) for rev_id in range(25)]
    with TestPipeline(FnApiRunner()) as p:
        keyed = p | beam.Create(batches, reshuffle=False) | KeyByBundle()
        revisions = keyed | beam.MapTuple(
            lambda key, encoded: [each.request.rev_id for each in decode_pending(encoded)]
        )
        assert_that(revisions, equal_to([[*range(10)], [*range(10, 20)], [*range(20, 25)]]))
        assert_that(
            keyed | beam.Keys() | beam.Distinct() | beam.combiners.Count.Globally(),
            equal_to([3]),
            label="keys",
        )


def test_an_event_that_must_be_known_again_has_a_key_of_its_own() -> None:
    batches = [(request(raw=edit(rev_id=rev_id)),) for rev_id in (1, 2, 1)]
    with TestPipeline(FnApiRunner()) as p:
        keyed = p | beam.Create(batches, reshuffle=False) | KeyByEvent()
        assert_that(
            keyed | beam.Keys(),
            equal_to([key_of(event_of(edit(rev_id=rev_id), "eqiad")) for rev_id in (1, 1, 2)]),
        )
