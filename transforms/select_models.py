"""Second step: which models an event asks for, by the simple rules of the models file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from transforms.elements import Event, Failure, ScoreRequest, ScoreRequests
from transforms.events.json_text import json_text
from transforms.metrics.bundle_metrics import BundleMetrics
from transforms.models.model import Endpoint, Model
from transforms.models.scorable import why_no_score
from transforms.models.selection import Selection
from transforms.models.wikis import Wikis
from transforms.worker.unforeseen import Fused

_MOST_SAID = 1_000
_LOGGER = logging.getLogger(__name__)

AlreadyScored = Callable[[Event, str], bool]  # whether this event's score of a model is there already


class Selected(NamedTuple):
    requests: beam.PCollection[ScoreRequests]
    failures: beam.PCollection[Failure]


@dataclass
class SelectModels(beam.PTransform):
    """Selects the models whose rule an event meets, but for what is `done` already.

    In: Event.
    Out: Selected: ScoreRequests, or a Failure where selecting fails.
    Bounded: either.
    Guarantee: one element out for each event that a model wants; the others are counted and dropped.
    """

    models: Mapping[str, Model]
    done: AlreadyScored | None = None
    holds: bool = False  # a blown fuse of this step waits; see transforms.worker.unforeseen
    wikis: Wikis | None = None  # None: the shipped table

    def expand(self, events: beam.PCollection[Event]) -> Selected:
        selected = events | "MatchRules" >> beam.ParDo(_SelectModelsFn(self)).with_outputs(
            "failures", main="requests"
        )
        return Selected(selected.requests, selected.failures)


class _SelectModelsFn(beam.DoFn):
    def __init__(self, step: SelectModels) -> None:
        self._step, self._done = step, step.done
        self._requests = {name: Metrics.counter("SelectModels", f"requests_{name}") for name in step.models}
        self._no_model = Metrics.counter("SelectModels", "dropped_no_model")
        self._unknown_wiki = Metrics.counter("SelectModels", "dropped_unknown_wiki")
        self._done_before = Metrics.counter("SelectModels", "done_before")
        self._failures = Metrics.counter("SelectModels", "failures")

    def setup(self) -> None:
        self._selection = Selection(self._step.models, self._step.wikis)
        self._fused = Fused("SelectModels", self._selected, _text, self._failed, holds=self._step.holds)
        self._metrics = BundleMetrics(self._fused.unforeseen, self._failures, self._unknown_wiki)

    def start_bundle(self) -> None:
        self._metrics.start_bundle()

    def process(self, event: Event) -> list[ScoreRequests | TaggedOutput]:
        return self._fused.outputs(event)

    def _failed(self, event: Event, reason: str, model: str | None = None) -> Iterator[TaggedOutput]:
        self._failures.inc()
        yield TaggedOutput(
            "failures",
            Failure("SelectModels", reason, _text(event), event.datacenter, model, event.partition),
        )

    def _selected(self, event: Event) -> Iterator[ScoreRequests | TaggedOutput]:
        endpoints = [
            endpoint
            for endpoint in self._selection.endpoints(event.raw)
            if event.only in (None, endpoint.model)
        ]
        if endpoints:
            yield from self._asked(event, endpoints)
        else:
            self._no_model.inc()
        if self._selection.of_unknown_wiki(event.raw):
            self._unknown_wiki.inc()
            _say_unknown(event.wiki)

    def _asked(self, event: Event, endpoints: list[Endpoint]) -> Iterator[ScoreRequests | TaggedOutput]:
        """Yields the requests of an event, but for what is done; a failure for each of which no score can be
        made."""
        reasons: dict[str, str | None] = {}  # by schema, why no score can be made
        requests = []
        for endpoint in endpoints:
            if self._done and self._done(event, endpoint.model):
                self._done_before.inc()
                continue
            schema = self._step.models[endpoint.model].schema
            if schema not in reasons:
                reasons[schema] = why_no_score(event.raw, schema)
            if reason := reasons[schema]:
                yield from self._failed(event, reason, endpoint.model)
                continue
            self._requests[endpoint.model].inc()
            requests.append(ScoreRequest(event, endpoint.model))
        if requests:
            yield tuple(requests)


def _text(event: Event) -> str:
    return json_text(event.raw)


@lru_cache(maxsize=_MOST_SAID)
def _say_unknown(wiki: str) -> None:
    """Says it once of each."""
    _LOGGER.warning(
        "%r is not in the table of wikis, so models that are asked by the language of a Wikipedia do not "
        "score it; see `wikis`",
        wiki[:100],
    )
