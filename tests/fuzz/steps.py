"""Takes fuzzed messages through the steps but for the calls themselves, and keeps a ledger: `python -m
tests.fuzz.steps --events 200000`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
from apache_beam.pvalue import TaggedOutput

import schemas
from pipeline.config.models_file import load
from tests.fuzz.events import Fuzzer
from tests.support.events import ROOT
from transforms.async_io.outcome_codec import decode_outcome
from transforms.build_revision_score import _BuildRevisionScoreFn
from transforms.combine_scores import _KeyFn
from transforms.elements import (
    Event,
    Failure,
    OutputEvent,
    Score,
    ScoreRequest,
    ScoreResponse,
    SourceRecord,
    json_text,
)
from transforms.events.combined_events import SCHEMAS, combined_score
from transforms.events.error_events import failed
from transforms.events.parsing import event_in, why_dropped
from transforms.models.adapters import KINDS, request_body
from transforms.models.model import Configuration
from transforms.models.model_inputs import UnsupportedRequestError
from transforms.models.wikis import shipped_wikis
from transforms.read_events import _CheckEventFn
from transforms.select_models import SelectModels, _SelectModelsFn

NOW = "2024-02-15T00:00:00Z"
_SCORE = Score("1", ["a", "b"], {"a": 0.75, "b": 0.25})


def models() -> Configuration:
    """All shipped models, of either kind of event, those that are switched off too."""
    created, changed = (load(ROOT / "pipeline" / name) for name in ("models.yaml", "page_change_models.yaml"))
    both = {**created.models, **changed.models}
    return replace(
        created,
        models={
            name: model.with_endpoints(lambda endpoint: replace(endpoint, enabled=True))
            for name, model in both.items()
        },
    )


class Steps:
    """The DoFns of the steps, one after the other, with a ledger of how each message and each of its requests
    ended."""

    def __init__(self) -> None:
        self.configuration = models()
        self.ended: Counter[str] = Counter()
        self._check, self._select = (
            _CheckEventFn(holds=False),
            _SelectModelsFn(SelectModels(self.configuration.models)),
        )
        self._build = _BuildRevisionScoreFn(self.configuration.models, lambda: NOW, holds=False)
        self._key = _KeyFn(self.configuration.models)
        for step in (self._check, self._select, self._build, self._key):
            step.setup()

    def take(self, message: bytes) -> None:
        """Raises AssertionError unless the message ends once; whatever a step raises, too."""
        raw = SourceRecord(message, "eqiad")
        outputs = list(self._check.process(raw))
        if not outputs:
            why = why_dropped(event_in(raw))
            assert why, f"lost in reading: {message[:500]!r}"
            self.ended[why] += 1
            return
        (output,) = outputs
        if isinstance(output, TaggedOutput):
            self._fail(output.value, message)
        else:
            self._take_event(output, message)

    def _take_event(self, event: Event, message: bytes) -> None:
        outputs = list(self._select.process(event))
        if not outputs:
            self.ended["no model wants it"] += 1
        requests = [each for each in outputs if not isinstance(each, TaggedOutput)]
        for output in outputs:
            if isinstance(output, TaggedOutput):
                assert not requests
                self._fail(output.value, message)
        for of_event in requests:
            assert len({request.model for request in of_event}) == len(of_event)
            for request in of_event:
                self._take_request(request, message)

    def _take_request(self, request: ScoreRequest, message: bytes) -> None:
        ends = list(self._ends(request))
        assert len(ends) == 1, f"{request.model} ended {len(ends)} times: {message[:500]!r}"
        (end,) = ends
        if isinstance(end, Failure):
            self._fail(end, message)
            return
        assert isinstance(end, OutputEvent)
        schemas.validator(end.body["$schema"])(end.body)
        assert (
            orjson.loads(orjson.dumps(end.body))["meta"]["stream"]
            == self.configuration.models[request.model].stream
        )
        self.ended["score"] += 1
        self._combine(end)

    def _ends(self, request: ScoreRequest) -> Iterator[Any]:
        """What is asked is written as it would be, and answered by a score."""
        event = request.event
        try:
            orjson.loads(
                request_body(KINDS[self.configuration.models[request.model].kind], [request], shipped_wikis())
            )
        except UnsupportedRequestError as error:
            yield Failure(
                "ScoreWithLiftWing", str(error), json_text(event.raw), event.datacenter, request.model
            )
            return
        for output in self._build.process(ScoreResponse(request, _SCORE)):
            yield output.value if isinstance(output, TaggedOutput) else output

    def _fail(self, failure: Failure, message: bytes) -> None:
        body = failed(failure, self.configuration.failure_stream, NOW).body
        schemas.validator(schemas.ERROR)(body)
        assert len(orjson.dumps(body)) < 1_000_000
        self.ended[f"failure of {failure.step}"] += 1
        if "unforeseen" in body["message"]:
            self.ended["unforeseen"] += 1
            print(body["message"], message[:2_000], file=sys.stderr)
        self._combine(failure)

    def _combine(self, outcome: OutputEvent | Failure) -> None:
        for _, encoded in self._key.process(outcome):
            try:
                combined_score([decode_outcome(encoded).part], SCHEMAS["3.0.0"], NOW)
                self.ended["combined"] += 1
            except schemas.InvalidEventError:
                self.ended["not combined"] += 1


def run(count: int, seed: int, steps: Steps | None = None) -> Counter[str]:
    """How so many messages and their requests ended."""
    steps = steps or Steps()
    for number, message in enumerate(Fuzzer(seed).messages(count), 1):
        steps.take(message)
        if number % 20_000 == 0:
            print(f"{number} messages: {dict(steps.ended)}", flush=True)
    return steps.ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.monotonic()
    ended = run(arguments.events, arguments.seed)
    print(
        f"{arguments.events} messages of seed {arguments.seed} in {time.monotonic() - began:.0f} s: "
        f"{dict(ended)}"
    )
    sys.exit(bool(ended["unforeseen"]))


if __name__ == "__main__":
    main()
