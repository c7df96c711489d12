"""Fourth step: an event and its score become the event that the model's kind has:
`/mediawiki/revision/score/3.0.0`, or for newer models
`/mediawiki/page/prediction_classification_change/1.3.0`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import orjson
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

import schemas
from schemas.hive_layout import partition_at
from transforms.elements import Event, Failure, OutputEvent, Score, ScoreResponse
from transforms.events.json_text import json_text
from transforms.events.score_events import utc_now
from transforms.metrics.bundle_metrics import BundleMetrics
from transforms.models.adapters import KINDS
from transforms.models.model import Model
from transforms.worker.unforeseen import Fused


class Built(NamedTuple):
    scores: beam.PCollection[OutputEvent]
    failures: beam.PCollection[Failure]


@dataclass
class BuildRevisionScore(beam.PTransform):
    """Builds the event of each response, and checks it against its schema.

    In: ScoreResponse.
    Out: Built: an OutputEvent, or a Failure where no valid event can be built.
    Bounded: either.
    Guarantee: one element out for each in; an exception is its own element's failure.
    """

    models: Mapping[str, Model]
    clock: Callable[[], str] = utc_now
    holds: bool = False  # a blown fuse of this step waits; see transforms.worker.unforeseen

    def expand(self, responses: beam.PCollection[ScoreResponse]) -> Built:
        built = responses | "BuildEvent" >> beam.ParDo(
            _BuildRevisionScoreFn(self.models, self.clock, self.holds)
        ).with_outputs("failures", main="scores")
        return Built(built.scores, built.failures)


class _BuildRevisionScoreFn(beam.DoFn):
    def __init__(self, models: Mapping[str, Model], clock: Callable[[], str], holds: bool) -> None:
        self._models, self._clock, self._holds = models, clock, holds
        self._scores = {model: Metrics.counter("BuildRevisionScore", f"scores_{model}") for model in models}
        self._failures = Metrics.counter("BuildRevisionScore", "failures")

    def setup(self) -> None:
        self._fused = Fused("BuildRevisionScore", self._built, _name, self._failed, holds=self._holds)
        self._metrics = BundleMetrics(self._fused.unforeseen, self._failures)

    def start_bundle(self) -> None:
        self._metrics.start_bundle()

    def process(self, response: ScoreResponse) -> list[OutputEvent | TaggedOutput]:
        return self._fused.outputs(response)

    def _failed(self, response: ScoreResponse, reason: str) -> Iterator[TaggedOutput]:
        self._failures.inc()
        request, event = response.request, response.request.event
        yield TaggedOutput(
            "failures",
            Failure(
                "BuildRevisionScore",
                reason,
                json_text(event.raw),
                event.datacenter,
                request.model,
                event.partition,
            ),
        )

    def _built(self, response: ScoreResponse) -> Iterator[OutputEvent | TaggedOutput]:
        event, model = response.request.event, self._models[response.request.model]
        try:
            body = self._build(event, model, response.score)
        except schemas.InvalidEventError as error:
            yield from self._failed(response, str(error))
        else:
            self._scores[model.name].inc()
            yield OutputEvent(model.stream, body, event.datacenter, event.partition, response.request)

    def _build(self, event: Event, model: Model, score: Score) -> dict[str, Any]:
        body = KINDS[model.kind].build(event.raw, model.score_stream, score, self._clock())
        schemas.validator(model.schema)(body)
        try:
            orjson.dumps(body)
        except TypeError as error:  # no schema speaks of lone surrogates and of keys that are no text
            raise schemas.InvalidEventError(f"cannot be written as JSON: {error}") from error
        try:
            partition_at(event.datacenter, body["dt"])
        except (ValueError, OverflowError) as error:  # the schema lets times pass that no calendar has
            raise schemas.InvalidEventError(f"dt must be a time, got {body['dt']!r}") from error
        return body


def _name(response: ScoreResponse) -> str:
    return f"{response.request.model} {json_text(response.request.event.raw)}"
