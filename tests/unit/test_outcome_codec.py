"""What waits in state for the combined event, byte by byte."""

from __future__ import annotations

import orjson
import pytest

from transforms.async_io.outcome_codec import Outcome, decode_outcome, encode_outcome
from transforms.async_io.state_codec import UnknownFormatError
from transforms.events.combined_events import Part


def test_the_format_of_what_waits_in_state_is_frozen() -> None:
    """A change of it needs a new version, and a reader of this one."""
    outcome = Outcome("eqiad", ["damaging", "goodfaith"], Part("damaging", {"rev_id": 1}, "timeout", "late"))
    written = {"model": "damaging", "event": {"rev_id": 1}, "error_type": "timeout", "message": "late"}
    assert orjson.loads(encode_outcome(outcome)) == {
        "v": 1,
        "datacenter": "eqiad",
        "expected": ["damaging", "goodfaith"],
        "part": written,
    }
    assert decode_outcome(encode_outcome(outcome)) == outcome
    with pytest.raises(UnknownFormatError, match="expected outcomes in format 1"):
        decode_outcome(b'["eqiad",["damaging"],"damaging",{},"",""]')
