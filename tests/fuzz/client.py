"""Odd answers through the client, and what comes of each through the step after it: `python -m
tests.fuzz.client --count 100000 --seed 1`."""

from __future__ import annotations

import argparse
import queue
import sys
from collections import Counter
from dataclasses import replace
from functools import partial

import schemas
from pipeline.config.models_file import load
from tests.fuzz.odd_lift_wing import OddLiftWing
from tests.support.events import ROOT, edit
from transforms.elements import Event, Score, ScoreRequest
from transforms.events.printable import in_one_line
from transforms.events.score_events import ScoreStream, revision_score, utc_now
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.client import LiftWingClient
from transforms.lift_wing.responses import CallNotPermitted, LiftWingError
from transforms.models.model import LiftWingSettings

_SHIPPED = ROOT / "pipeline" / "models.yaml"
_OPEN = 400  # calls at once
_PATIENCE_S = 120


def run(count: int, seed: int) -> Counter[str]:
    """Asks for so many revisions, each once, and counts the ends by kind. Raises AssertionError when one does
    not end, ends twice, or not as it should."""
    endpoint = load(_SHIPPED).models["damaging"].endpoints["enwiki"]
    raw, ends, ended = edit(), Counter[str](), Counter[int]()
    answers: queue.Queue[tuple[int, CallResult]] = queue.Queue()
    with OddLiftWing(seed, odd=1) as server:
        lift_wing = LiftWingClient(LiftWingSettings(server.url, timeout_s=10))

        def ask(rev_id: int) -> None:
            request = ScoreRequest(Event({**raw, "rev_id": rev_id}, "eqiad", "enwiki", rev_id), "damaging")
            # each endpoint is asked so little that none is broken
            of_few = replace(endpoint, wiki=f"enwiki_x{rev_id // 2}")
            lift_wing.submit(of_few, request, partial(_put, answers, rev_id))

        for rev_id in range(min(_OPEN, count)):
            ask(rev_id)
        asked = min(_OPEN, count)
        while len(ended) < count:
            rev_id, answer = answers.get(timeout=_PATIENCE_S)
            ended[rev_id] += 1
            ends[_checked(answer, {**raw, "rev_id": rev_id})] += 1
            if asked < count:
                ask(asked)
                asked += 1
        lift_wing.close()
        assert set(ended.values()) == {1}
        assert set(server.calls.values()) == {1}
    return ends


def _put(answers: queue.Queue[tuple[int, CallResult]], rev_id: int, answer: CallResult) -> None:
    answers.put((rev_id, answer))


def _checked(answer: CallResult, raw: dict[str, object]) -> str:
    result = answer.result
    if isinstance(result, Score):
        schemas.validator(schemas.REVISION_SCORE)(
            revision_score(
                raw, ScoreStream("damaging", "mediawiki.revision-score-damaging"), result, utc_now()
            )
        )
        return "Score"
    assert isinstance(result, LiftWingError), repr(result)
    assert not isinstance(result, CallNotPermitted), str(result)
    assert result.cause != "unforeseen", str(result)
    assert in_one_line(str(result), 1_000) == str(result), ascii(str(result))
    assert len(str(result)) < 1_000
    assert 0 <= result.retry_after_s <= 300
    return f"{type(result).__name__} {result.cause}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.client", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    ends = run(arguments.count, arguments.seed)
    print("\n".join(f"{number:>8}  {end}" for end, number in ends.most_common()))
    print(f"{ends.total():>8}  answers, each ended once (seed {arguments.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
