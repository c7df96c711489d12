"""What the state of a stream belongs to, in a file beside it, so that another Kafka's or group's state is not
gone on with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.flink.snapshots import Snapshots
from pipeline.usage_error import UsageError

_FILE = "state.json"
_FORMAT = 1
_ANEW = (
    "name another --state: a new one begins where --group stopped in Kafka, and what waits in this one "
    "is left there"
)


@dataclass(frozen=True)
class Identity:
    """The Kafka, the group and the topics whose places a state has."""

    kafka: str  # the cluster's id
    group: str
    topics: Mapping[str, str]  # ids of those that are read
    combined: bool  # whether --combined keeps a part of it


def is_there(state: Path) -> bool:
    """Returns whether there is a state that belongs to somebody."""
    return (state / _FILE).exists() or Snapshots(state).exist()


def check(state: Path, now: Identity, adopt: bool) -> Identity | None:
    """Returns what the state belongs to; None where there is none yet. Raises UsageError unless a run with
    the identity `now` can go on with it."""
    before = _read(state)
    if before is None:
        if Snapshots(state).exist():
            raise UsageError(
                f"--state: what is in {state} was left by a version without {_FILE}, with which this one "
                f"cannot go on; {_ANEW}"
            )
        return None
    if (before.kafka, before.group) != (now.kafka, now.group) and not adopt:
        whose = (
            f"Kafka {before.kafka} and --group {before.group}, not of Kafka {now.kafka} and --group "
            f"{now.group}"
        )
        raise UsageError(
            f"--state: {state} is of {whose}; {_ANEW}, or say with --adopt-state that it is meant: what "
            "waits there then goes on in this one"
        )
    return before


def changes(before: Identity | None, now: Identity) -> Iterator[str]:
    """Yields a line for each difference of now from before."""
    if before is None:
        return
    if before.kafka == now.kafka:
        for topic, its_id in now.topics.items():
            if topic not in before.topics:
                yield (
                    f"{topic} is new to this state and read from where it stopped here, or from its "
                    "oldest message"
                )
            elif its_id != before.topics[topic]:
                yield (
                    f"{topic} was made anew; reading it from its oldest message: what was not read of "
                    "the one before is gone"
                )
    for topic in before.topics.keys() - now.topics.keys():
        yield f"{topic} is not read any more; its place is kept"
    if before.combined and not now.combined:
        yield "without --combined, what waits for a combined event is dropped"


def write(state: Path, now: Identity) -> None:
    """Writes what the state belongs to from now on. Raises UsageError."""
    file = state / _FILE
    try:
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps({"format": _FORMAT, **asdict(now)}, indent=1) + "\n", encoding="utf-8")
        os.replace(beside, file)
    except OSError as error:
        raise UsageError(
            f"--state: {file} cannot be written: {error.strerror}; make that possible, or name another folder"
        ) from error


def _read(state: Path) -> Identity | None:
    file = state / _FILE
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["format"] != _FORMAT:
            raise UsageError(
                f"--state: {file} has format {told['format']}, and this version knows {_FORMAT}; go on "
                f"with the version that wrote it, or {_ANEW}"
            )
        return Identity(str(told["kafka"]), str(told["group"]), dict(told["topics"]), bool(told["combined"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(
            f"--state: {file} cannot be read: {error.strerror}; make that possible, or name another folder"
        ) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(
            f"--state: {file} does not say what the state is of ({type(error).__name__}); put it back from "
            f"a backup, or {_ANEW}"
        ) from error
