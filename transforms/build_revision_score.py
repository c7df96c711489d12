"""Fourth step: a `/mediawiki/revision/score/3.0.0` event out of an event and its score."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

import schemas
from transforms.elements import Event, Failure, OutputEvent, Score, ScoreResponse, json_text
from transforms.hive_layout import partition_at
from transforms.models import Model

_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/wikimedia/schemas-event-primary" + schemas.REVISION_SCORE)

# All that the schema lets an event take over (additionalProperties: false).
_PROPERTIES = schemas.load(schemas.REVISION_SCORE)["properties"]
_COPIED = [name for name in _PROPERTIES if name.startswith(("page_", "rev_")) or name == "database"]
NEEDED = frozenset([*_COPIED, "$schema", "meta", "dt", "performer", "rev_timestamp"])  # fields of an event that a score is made of
_COPIED_OF_META = [name for name in _PROPERTIES["meta"]["properties"] if name in ("request_id", "domain", "uri")]
_COPIED_OF_PERFORMER = list(_PROPERTIES["performer"]["properties"])


def revision_score(raw: Mapping[str, Any], model: str, stream: str, score: Score, now: str) -> dict[str, Any]:
    """The score event for one model; `now` is its `meta.dt`.

    `meta.id` follows from what was scored and why, so that the same work done twice can be told by its consumers.
    """
    meta = raw.get("meta") or {}
    event: dict[str, Any] = {
        "$schema": schemas.REVISION_SCORE,
        "dt": event_time(raw),
        "meta": {
            "stream": stream,
            "id": score_id(raw, stream),
            "dt": now,
            **{name: meta[name] for name in _COPIED_OF_META if meta.get(name) is not None},
        },
    }
    event.update((name, _whole(raw[name])) for name in _COPIED if raw.get(name) is not None)
    performer = raw.get("performer")
    if performer is not None:
        event["performer"] = {name: _whole(performer[name]) for name in _COPIED_OF_PERFORMER if performer.get(name) is not None}
    event["scores"] = {
        model: {
            "model_name": model,
            "model_version": score.model_version,
            "prediction": predictions(score.prediction),
            "probability": score.probability,
        }
    }
    return event


def score_id(raw: Mapping[str, Any], stream: str) -> str:
    """The `meta.id` of the score that comes of an event in a stream."""
    return str(uuid.uuid5(_IDS, f"{stream} {raw['database']} {raw['rev_id']} {id_of(raw)}"))


def id_of(raw: Mapping[str, Any]) -> Any:
    """The `meta.id` of an event that nobody has checked; None when it has none."""
    meta = raw.get("meta")
    return meta.get("id") if isinstance(meta, Mapping) else None


def partition_of_event(raw: Mapping[str, Any], datacenter: str) -> str | None:
    """The partition of an event that nobody has checked, by its time; None when it tells none."""
    try:
        return partition_at(datacenter, event_time(raw))
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def _whole(value: Any) -> Any:
    """JSON Schema takes 5.0 for a whole number; tables do not."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def event_time(raw: Mapping[str, Any]) -> Any:
    """When the edit was made: `dt`, which is `meta.dt` in the 1.x schemas."""
    return raw.get("dt") or (raw.get("meta") or {}).get("dt") or raw.get("rev_timestamp")


def predictions(prediction: bool | str | list[str]) -> list[str]:
    """Lift Wing says true, "Stub" or ["STEM.STEM*"]; the schema wants a list of strings."""
    if isinstance(prediction, bool):
        return ["true" if prediction else "false"]
    return [prediction] if isinstance(prediction, str) else prediction


def utc_now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Built(NamedTuple):
    scores: beam.PCollection[OutputEvent]
    failures: beam.PCollection[Failure]


@dataclass
class BuildRevisionScore(beam.PTransform):
    """Gives Built: score events, each valid against the schema. An event that cannot be made valid becomes a failure."""

    models: Mapping[str, Model]
    clock: Callable[[], str] = utc_now

    def expand(self, responses: beam.PCollection[ScoreResponse]) -> Built:
        streams = {model.name: model.stream for model in self.models.values()}
        built = responses | "BuildEvent" >> beam.ParDo(_BuildRevisionScoreFn(streams, self.clock)).with_outputs("failures", main="scores")
        return Built(built.scores, built.failures)


class _BuildRevisionScoreFn(beam.DoFn):
    def __init__(self, streams: Mapping[str, str], clock: Callable[[], str]) -> None:
        self._streams, self._clock = streams, clock
        self._scores = {model: Metrics.counter("BuildRevisionScore", f"scores_{model}") for model in streams}
        self._failures = Metrics.counter("BuildRevisionScore", "failures")

    def setup(self) -> None:
        self._validate = schemas.validator(schemas.REVISION_SCORE)

    def process(self, response: ScoreResponse) -> Iterator[OutputEvent | TaggedOutput]:
        model, event = response.request.model, response.request.event
        stream = self._streams[model]
        try:
            body = self._build(event, model, stream, response.score)
        except schemas.InvalidEvent as error:
            self._failures.inc()
            yield TaggedOutput("failures", Failure("BuildRevisionScore", str(error), json_text(event.raw), event.datacenter, model, event.partition))
        else:
            self._scores[model].inc()
            yield OutputEvent(stream, body, event.datacenter, event.partition, response.request)

    def _build(self, event: Event, model: str, stream: str, score: Score) -> dict[str, Any]:
        for name in ("meta", "performer"):
            if not isinstance(event.raw.get(name, {}), Mapping | None):
                raise schemas.InvalidEvent(f"{name} must be an object, got {event.raw[name]!r:.100}")
        body = revision_score(event.raw, model, stream, score, self._clock())
        self._validate(body)
        try:
            partition_at(event.datacenter, body["dt"])
        except (ValueError, OverflowError) as error:  # the schema lets times pass that no calendar has
            raise schemas.InvalidEvent(f"dt must be a time, got {body['dt']!r}") from error
        return body
