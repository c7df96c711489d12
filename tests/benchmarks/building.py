"""What it costs to build an event and to hold it against its schema, in microseconds, and how long two
validators take for the same events.

    python -m tests.benchmarks.building [--events 20000]

The score events are those of real edits; each validator has the real schema, compiled beforehand. jsonschema
is what one would take first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import jsonschema

import schemas
from tests.benchmarks.inputs import events
from tests.benchmarks.measuring import table
from transforms.elements import Score
from transforms.events.score_events import ScoreStream, revision_score, utc_now

_SCORE = Score("0.5.1", False, {"true": 0.25, "false": 0.75})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000)
    count = parser.parse_args().events
    edits = list(events(count))
    built = [
        revision_score(edit, ScoreStream("damaging", "mediawiki.revision-score-damaging"), _SCORE, utc_now())
        for edit in edits
    ]
    validator = jsonschema.Draft7Validator(
        {**schemas.load(schemas.REVISION_SCORE), "$schema": "http://json-schema.org/draft-07/schema#"}
    )
    few = built[: max(1, count // 20)]
    rows: list[list[str | float]] = [
        [
            "build",
            _microseconds(
                lambda edit: revision_score(edit, ScoreStream("damaging", "s"), _SCORE, utc_now()), edits
            ),
        ],
        [
            "validate, fastjsonschema (compiled)",
            _microseconds(schemas.validator(schemas.REVISION_SCORE), built),
        ],
        ["validate, jsonschema", _microseconds(validator.validate, few)],
    ]
    print(table(f"{count:,} events of real edits", ["", "µs an event"], rows), flush=True)


def _microseconds(work: Callable[[Any], object], on: Sequence[Any]) -> float:
    began = perf_counter()
    for each in on:
        work(each)
    return (perf_counter() - began) / len(on) * 1e6


if __name__ == "__main__":
    main()
