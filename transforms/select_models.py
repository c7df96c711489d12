"""Second step: which models an event asks for, by the simple rules of the models file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from transforms.elements import Event, Failure, ScoreRequest, json_text
from transforms.models import ANY_WIKI, Endpoint, Model
from transforms.rules import EVENT_KINDS, compile_rule, mismatch
from transforms.source_events import rev_id_of, source_of, wiki_of
from transforms.unforeseen import Fused
from transforms.wikis import known_wikis

Rule = Callable[[Mapping[str, Any]], bool]
Done = Callable[[Event, str], bool]  # whether this event's score of a model is there already


class Selection:
    """The models of each wiki with their rules, ready to be asked for every event."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models
        self._by_wiki: dict[str, list[_Candidate]] = {}
        for model in models.values():
            rule = compile_rule(model.match, model.match_not)
            for wiki, endpoint in model.endpoints.items():
                of_wiki = self._by_wiki.setdefault(wiki, [])
                if endpoint.enabled:
                    of_wiki.append(_Candidate(endpoint, model.source, EVENT_KINDS[endpoint.on], rule))
        self._of_any = self._by_wiki.pop(ANY_WIKI, [])

    def endpoints(self, raw: Mapping[str, Any]) -> list[Endpoint]:
        """The endpoints whose rule this event meets; none for a wiki without models."""
        source = source_of(raw)
        return [each.endpoint for each in self._candidates(raw) if each.source == source and each.of_kind(raw) and each.matches(raw)]

    def refusals(self, raw: Mapping[str, Any]) -> dict[str, str]:
        """Of each model that serves the event's wiki and does not want it, by what."""
        source, refusals = source_of(raw), {}
        for each in self._candidates(raw):
            model = self._models[each.endpoint.model]
            if each.source != source:
                refusals[model.name] = f"source: wanted {each.source}, found {source}"
            elif not each.of_kind(raw):
                refusals[model.name] = f"on: wanted {each.endpoint.on}, which this is not"
            elif found := mismatch(model.match, model.match_not, raw):
                refusals[model.name] = found
        return refusals

    def _candidates(self, raw: Mapping[str, Any]) -> list[_Candidate]:
        wiki = wiki_of(raw)
        if not isinstance(wiki, str):
            return []
        of_wiki = self._by_wiki.get(wiki, [])
        return of_wiki + self._of_any if self._of_any and self.knows(wiki) else of_wiki

    def knows(self, wiki: str) -> bool:
        """Whether there is such a wiki at all, with models or without."""
        return wiki in self._by_wiki or wiki in known_wikis()


class _Candidate(NamedTuple):
    endpoint: Endpoint
    source: str
    of_kind: Rule
    matches: Rule


def unknown_wiki(wiki: str) -> str:
    return f"database: no wiki is called {wiki!r:.100}; a new one is added to transforms/wikis.tsv"


class Selected(NamedTuple):
    requests: beam.PCollection[ScoreRequest]
    failures: beam.PCollection[Failure]


@dataclass
class SelectModels(beam.PTransform):
    """Gives Selected: a request for each model whose rule the event meets, but for what is `done` already. Events that ask for none are counted."""

    models: Mapping[str, Model]
    done: Done | None = None
    holds: bool = False  # a blown fuse of this step waits; see transforms.unforeseen

    def expand(self, events: beam.PCollection[Event]) -> Selected:
        selected = events | "MatchRules" >> beam.ParDo(_SelectModelsFn(self.models, self.done, self.holds)).with_outputs("failures", main="requests")
        return Selected(selected.requests, selected.failures)


class _SelectModelsFn(beam.DoFn):
    def __init__(self, models: Mapping[str, Model], done: Done | None, holds: bool) -> None:
        self._models, self._done, self._holds = models, done, holds
        self._requests = {name: Metrics.counter("SelectModels", f"requests_{name}") for name in models}
        self._no_model = Metrics.counter("SelectModels", "dropped_no_model")
        self._done_before = Metrics.counter("SelectModels", "done_before")
        self._failures = Metrics.counter("SelectModels", "failures")

    def setup(self) -> None:
        self._selection = Selection(self._models)
        self._fused = Fused("SelectModels", holds=self._holds)

    def process(self, event: Event) -> Iterator[ScoreRequest | TaggedOutput]:
        yield from self._fused.outputs(partial(self._selected, event), lambda: json_text(event.raw), partial(self._failed, event))

    def _failed(self, event: Event, reason: str) -> Iterator[TaggedOutput]:
        self._failures.inc()
        yield TaggedOutput("failures", Failure("SelectModels", reason, json_text(event.raw), event.datacenter, partition=event.partition))

    def _selected(self, event: Event) -> Iterator[ScoreRequest | TaggedOutput]:
        wiki = wiki_of(event.raw)
        endpoints = [endpoint for endpoint in self._selection.endpoints(event.raw) if event.only in (None, endpoint.model)]
        if endpoints:
            for endpoint in endpoints:
                if self._done and self._done(event, endpoint.model):
                    self._done_before.inc()
                    continue
                self._requests[endpoint.model].inc()
                yield ScoreRequest(event, endpoint.model, wiki, rev_id_of(event.raw))
        elif self._selection.knows(wiki):
            self._no_model.inc()
        else:
            yield from self._failed(event, unknown_wiki(wiki))
