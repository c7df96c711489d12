"""What both ways of waiting for Lift Wing share: a worker process's connection to it, and an answer's way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from transforms.elements import Failure, Score, ScoreRequest, ScoreResponse, json_text
from transforms.lift_wing import Answer, LiftWing, LiftWingError, SharedLiftWing
from transforms.models import Configuration, Endpoint

Batch = tuple[ScoreRequest, ...]
Output = Any  # ScoreResponse or TaggedOutput of "failures"; Beam has no name for that at run time


class AskFn(beam.DoFn):
    """The base of a DoFn that asks; it counts what is asked and how that ends."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._calls = {model: Metrics.counter("ScoreWithLiftWing", f"calls_{model}") for model in configuration.models}
        self._failed = {model: Metrics.counter("ScoreWithLiftWing", f"failures_{model}") for model in configuration.models}
        self._milliseconds = {model: Metrics.distribution("ScoreWithLiftWing", f"call_ms_{model}") for model in configuration.models}

    def setup(self) -> None:
        self.lift_wing: LiftWing = SharedLiftWing.acquire(self.configuration.lift_wing)
        self._endpoints: Mapping[str, Mapping[str, Endpoint]] = {name: model.endpoints for name, model in self.configuration.models.items()}

    def teardown(self) -> None:
        SharedLiftWing.release(self.configuration.lift_wing)

    def endpoint(self, request: ScoreRequest) -> Endpoint:
        return self._endpoints[request.model][request.wiki]

    def output(self, request: ScoreRequest, answer: Answer) -> Output:
        self._calls[request.model].inc(answer.tries)
        self._milliseconds[request.model].update(round(answer.seconds * 1000))
        if isinstance(answer.result, Score):
            return ScoreResponse(request, answer.result)
        if not isinstance(answer.result, LiftWingError):
            raise answer.result
        self._failed[request.model].inc()
        return TaggedOutput("failures", failure(request, answer.result, answer.tries))


def failure(request: ScoreRequest, error: LiftWingError, tries: int) -> Failure:
    """The failure of a request, with how often it was tried where that was more than once."""
    reason = f"{error} ({tries} tries)" if tries > 1 else str(error)
    event = request.event
    return Failure("ScoreWithLiftWing", reason, json_text(event.raw), event.datacenter, request.model, event.partition)


def in_global_window(value: Any) -> WindowedValue:
    return WindowedValue(value, MIN_TIMESTAMP, [GlobalWindow()])
