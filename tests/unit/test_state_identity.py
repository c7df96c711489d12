"""The state of another Kafka, another group or another version is not taken for one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.flink import state_identity
from pipeline.flink.state_identity import Identity
from pipeline.usage_error import UsageError
from tests.support.snapshots import snapshot

OURS = Identity("kafka-1", "scores", {"eqiad.a": "id-a", "eqiad.b": "id-b"}, combined=True)
ANEW = (
    "name another --state: a new one begins where --group stopped in Kafka, and what waits in this one "
    "is left there"
)


def refusal(state: Path, now: Identity) -> str:
    with pytest.raises(UsageError) as error:
        state_identity.check(state, now, adopt=False)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_new_state_is_of_whoever_begins_it(tmp_path: Path) -> None:
    assert state_identity.check(tmp_path, OURS, adopt=False) is None
    state_identity.write(tmp_path, OURS)
    assert state_identity.check(tmp_path, OURS, adopt=False) == OURS
    assert list(state_identity.changes(OURS, OURS)) == list(state_identity.changes(None, OURS)) == []


def test_a_state_that_says_nothing_of_itself_is_of_an_earlier_version(tmp_path: Path) -> None:
    snapshot(tmp_path / "checkpoints" / "run" / "chk-1", 1)
    said = (
        f"--state: what is in {tmp_path} was left by a version without state.json, with which this one "
        f"cannot go on; {ANEW}"
    )
    assert refusal(tmp_path, OURS) == said


def test_the_state_of_another_kafka_or_group_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    state_identity.write(tmp_path, OURS)
    for other in (replace(OURS, kafka="kafka-2"), replace(OURS, group="others")):
        whose = f"Kafka kafka-1 and --group scores, not of Kafka {other.kafka} and --group {other.group}"
        meant = "or say with --adopt-state that it is meant: what waits there then goes on in this one"
        assert refusal(tmp_path, other) == f"--state: {tmp_path} is of {whose}; {ANEW}, {meant}"
        assert state_identity.check(tmp_path, other, adopt=True) == OURS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1, "kafka": "k"}',
        '{"format": 1, "kafka": "k", "group": "g", "topics": 7, "combined": 0}',
        "[" * 9999,
    ],
)
def test_a_file_that_is_damaged_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert refusal(tmp_path, OURS).startswith(
        f"--state: {tmp_path / 'state.json'} does not say what the state is of ("
    )


def test_a_later_format_and_a_file_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"format": 2}')
    assert refusal(tmp_path, OURS).startswith(
        f"--state: {tmp_path / 'state.json'} has format 2, and this version knows 1; go on with the "
        "version that wrote it"
    )
    (tmp_path / "state.json").unlink()
    (tmp_path / "state.json").mkdir()
    assert "cannot be read: Is a directory" in refusal(tmp_path, OURS)
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        state_identity.write(tmp_path, OURS)


def test_what_changes_is_told_a_line_each() -> None:
    now = Identity("kafka-1", "scores", {"eqiad.a": "id-of-another", "eqiad.c": "id-c"}, combined=False)
    assert list(state_identity.changes(OURS, now)) == [
        "eqiad.a was made anew; reading it from its oldest message: what was not read of the one "
        "before is gone",
        "eqiad.c is new to this state and read from where it stopped here, or from its oldest message",
        "eqiad.b is not read any more; its place is kept",
        "without --combined, what waits for a combined event is dropped",
    ]
