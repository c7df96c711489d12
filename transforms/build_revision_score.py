"""Fourth step: an event and its score become the event that the model's kind has: `/mediawiki/revision/score/3.0.0`, or for newer models
`/mediawiki/page/prediction_classification_change/1.1.0`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

import schemas
from transforms.elements import Event, Failure, OutputEvent, Score, ScoreResponse, json_text
from transforms.hive_layout import partition_at
from transforms.kinds import KINDS
from transforms.models import Model
from transforms.score_events import utc_now


class Built(NamedTuple):
    scores: beam.PCollection[OutputEvent]
    failures: beam.PCollection[Failure]


@dataclass
class BuildRevisionScore(beam.PTransform):
    """Gives Built: score events, each valid against the schema. An event that cannot be made valid becomes a failure."""

    models: Mapping[str, Model]
    clock: Callable[[], str] = utc_now

    def expand(self, responses: beam.PCollection[ScoreResponse]) -> Built:
        built = responses | "BuildEvent" >> beam.ParDo(_BuildRevisionScoreFn(self.models, self.clock)).with_outputs("failures", main="scores")
        return Built(built.scores, built.failures)


class _BuildRevisionScoreFn(beam.DoFn):
    def __init__(self, models: Mapping[str, Model], clock: Callable[[], str]) -> None:
        self._models, self._clock = models, clock
        self._scores = {model: Metrics.counter("BuildRevisionScore", f"scores_{model}") for model in models}
        self._failures = Metrics.counter("BuildRevisionScore", "failures")

    def process(self, response: ScoreResponse) -> Iterator[OutputEvent | TaggedOutput]:
        event, model = response.request.event, self._models[response.request.model]
        try:
            body = self._build(event, model, response.score)
        except schemas.InvalidEvent as error:
            self._failures.inc()
            yield TaggedOutput("failures", Failure("BuildRevisionScore", str(error), json_text(event.raw), event.datacenter, model.name, event.partition))
        else:
            self._scores[model.name].inc()
            yield OutputEvent(model.stream, body, event.datacenter, event.partition, response.request)

    def _build(self, event: Event, model: Model, score: Score) -> dict[str, Any]:
        kind = KINDS[model.kind]
        body = kind.build(event.raw, model.name, model.stream, score, self._clock())
        schemas.validator(kind.schema)(body)
        try:
            partition_at(event.datacenter, body["dt"])
        except (ValueError, OverflowError) as error:  # the schema lets times pass that no calendar has
            raise schemas.InvalidEvent(f"dt must be a time, got {body['dt']!r}") from error
        return body
