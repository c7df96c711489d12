"""How `import-changeprop` makes entries of a models file out of ChangeProp's rules, those of its `liftwing`
block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.config import strict_yaml
from pipeline.config.models_file import load
from transforms.events.source_events import PAGE_CHANGE, REVISION_CREATE, STREAMS, source_of
from transforms.models.model import ANY_WIKI, Model
from transforms.models.rules import RuleError, compile_rule

_SHIPPED = [Path(__file__).parents[1] / name for name in ("models.yaml", "page_change_models.yaml")]
_KNOWN = {
    "concurrency",
    "match_config",
    "match_config_need_quotes",
    "namespace",
    "kafka_topic",
    "message_wiki_selector",
}


@dataclass
class RuleImport:
    """Carries rules over, and notes what is to be said of them."""

    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # by ChangeProp itself
    left_out: int = 0

    def carry_over(self, name: str, entry: Any) -> dict[str, Any] | None:
        """Returns the entry of a models file; None when it cannot be carried over."""
        if not isinstance(entry, Mapping):
            self.refused.append(f"{name}: expected a mapping, got {strict_yaml.shown(entry)}")
            return None
        for key in entry.keys() - _KNOWN:
            self.notes.append(f"{name}.{key}: not carried over, as nothing is known of it")
        rule = self._check_rule(name, entry)
        if rule is None:
            return None
        known = _shipped().get(name)
        if known is None:
            self._leave_out(name, "as no kind of model says how it is asked and what it answers")
            return None
        match = rule.get("match", {})
        model = _how_asked(known, entry, self._choose_source(name, entry, match)) | rule
        model["wikis"] = (
            self._choose_wikis(name, entry, known, match) if ANY_WIKI not in known.endpoints else "all"
        )
        if not model["wikis"]:
            self._leave_out(name, "as its rule lets no wiki through that Lift Wing has it for")
            return None
        return model

    def _leave_out(self, name: str, why: str) -> None:
        self.left_out += 1
        self.notes.append(f"{name}: left out, {why}")

    def _check_rule(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any] | None:
        """Returns `match` and `match_not` where they say something; None for a rule that is wrong."""
        rule = entry.get("match_config") or {}
        match, match_not = rule.get("match", {}), rule.get("match_not", [])
        try:
            compile_rule(match, [match_not] if isinstance(match_not, Mapping) else match_not)
        except RuleError as error:
            self.refused.extend(f"{name}.match_config.{problem}" for problem in error.problems)
            return None
        return {key: value for key, value in (("match", match), ("match_not", match_not)) if value}

    def _choose_source(self, name: str, entry: Mapping[str, Any], match: Mapping[str, Any]) -> str:
        """Returns the kind of event that a rule listens to: by its topic, or where that is another, by the
        fields that it asks for."""
        topic, selector = str(entry.get("kafka_topic", "")), entry.get("message_wiki_selector")
        by_topic = next((source for source, stream in STREAMS.items() if topic == stream), None)
        source = by_topic or (
            PAGE_CHANGE if source_of(match) == PAGE_CHANGE or selector == "wiki_id" else REVISION_CREATE
        )
        if by_topic is None:
            self.notes.append(
                f"{name}.kafka_topic: {topic} is no stream of its own kind here; read it with stream "
                f"--input-topics, as {source}"
            )
        return source

    def _choose_wikis(
        self, name: str, entry: Mapping[str, Any], known: Model, match: Mapping[str, Any]
    ) -> list[str]:
        """Returns the wikis that the rule lets through and Lift Wing has the model for; ChangeProp calls
        {wiki}-{model} for whatever wiki the rule lets through."""
        selector = str(entry.get("message_wiki_selector") or "")
        if not selector:
            self.notes.append(
                f"{name}.message_wiki_selector: expected database or wiki_id, got nothing; without it "
                "ChangeProp calls a service that is not there"
            )
        rule = compile_rule({selector: match[selector]}) if selector in match else None
        served = [wiki for wiki in known.endpoints if rule is None or rule({selector: wiki})]
        self.notes.append(
            f"{name}: {len(served)} wikis, those that Lift Wing has it for and the rule lets through"
        )
        return served


def _how_asked(known: Model, entry: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Returns the keys of a models file that say how a model is asked, and of which events.

    `known`: the shipped model of that name; `source`: the kind of event that the entry listens to.
    """
    endpoint = next(iter(known.endpoints.values()))
    model: dict[str, Any] = {
        "namespace": entry.get("namespace", endpoint.namespace),
        "concurrency": entry.get("concurrency", 5),
    }
    if known.kind != "revscoring":
        model |= {"kind": known.kind, "stream": known.stream}
        model |= {"service": endpoint.service} if endpoint.service else {}
    if (source, known.kind) == (PAGE_CHANGE, "revscoring"):
        model["source"] = source
    return model


@cache
def _shipped() -> Mapping[str, Model]:
    return {name: model for file in _SHIPPED for name, model in load(file).models.items()}
