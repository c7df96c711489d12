"""The models of each wiki with their rules: which of them want an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from transforms.events.source_events import source_of, wiki_of
from transforms.models.adapters import KINDS
from transforms.models.event_kinds import EVENT_KINDS
from transforms.models.model import ANY_WIKI, Endpoint, Model
from transforms.models.rules import compile_rule, mismatch
from transforms.models.wikis import Wikis, shipped_wikis

Rule = Callable[[Mapping[str, Any]], bool]


class Selection:
    """The models of each wiki with their rules, ready to be asked for every event."""

    def __init__(self, models: Mapping[str, Model], wikis: Wikis | None = None) -> None:
        self._models, self._wikis = models, wikis or shipped_wikis()
        self._by_wiki: dict[str, list[_Candidate]] = {}
        for model in models.values():
            rule = compile_rule(model.match, model.match_not)
            for wiki, endpoint in model.endpoints.items():
                of_wiki = self._by_wiki.setdefault(wiki, [])
                if endpoint.enabled:
                    of_wiki.append(_Candidate(endpoint, model.source, EVENT_KINDS[endpoint.on], rule))
        self._of_any = self._by_wiki.pop(ANY_WIKI, [])

    def endpoints(self, raw: Mapping[str, Any]) -> list[Endpoint]:
        """Returns the endpoints whose rule this event meets; none for a wiki without models."""
        wiki, source = wiki_of(raw), source_of(raw)
        return [
            each.endpoint
            for each in self._candidates(wiki)
            if each.source == source and self._serves(each, wiki) and each.of_kind(raw) and each.matches(raw)
        ]

    def explain_mismatches(self, raw: Mapping[str, Any]) -> dict[str, str]:
        """Returns for each model that serves the event's wiki and does not want it the condition that it
        fails, by the model's name."""
        wiki, source, mismatches = wiki_of(raw), source_of(raw), {}
        for each in self._candidates(wiki):
            model = self._models[each.endpoint.model]
            if each.source != source:
                mismatches[model.name] = f"source: wanted {each.source}, found {source}"
            elif not each.of_kind(raw):
                mismatches[model.name] = f"on: wanted {each.endpoint.on}, which this is not"
            elif not self._serves(each, wiki):
                mismatches[model.name] = f"wiki: wanted a Wikipedia of the table of wikis, found {wiki}"
            elif found := mismatch(model.match, model.match_not, raw):
                mismatches[model.name] = found
        return mismatches

    def of_unknown_wiki(self, raw: Mapping[str, Any]) -> bool:
        """Returns whether a model for all Wikipedias would be asked of this event, if the table of wikis had
        its wiki."""
        if not self._of_any:
            return False
        wiki, source = wiki_of(raw), source_of(raw)
        return wiki not in self._wikis and any(
            each.source == source and not self._serves(each, wiki) and each.of_kind(raw) and each.matches(raw)
            for each in self._of_any
        )

    def _candidates(self, wiki: Any) -> list[_Candidate]:
        return self._by_wiki.get(wiki, []) + self._of_any if isinstance(wiki, str) else []

    def _serves(self, candidate: _Candidate, wiki: str) -> bool:
        return candidate.endpoint.wiki != ANY_WIKI or KINDS[candidate.endpoint.kind].serves(wiki, self._wikis)


class _Candidate(NamedTuple):
    endpoint: Endpoint
    source: str
    of_kind: Rule
    matches: Rule
