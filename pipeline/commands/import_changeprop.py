"""The command `import-changeprop`: the `liftwing` block of ChangeProp's values file as a models file.

As charts/changeprop/templates/_config.yaml of wikimedia/operations-deployment-charts reads the block.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import strict_yaml
from pipeline.config.models_file import load
from pipeline.options import option
from pipeline.usage_error import UsageError
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
_HEAD = """# Made of {source} by `revision-scores import-changeprop`;
# check it with `revision-scores models --models FILE`. ChangeProp tries a 502 or 503 again after 60 and
# 360 s, and gives up any other error; here see `lift_wing` and docs/guarantees.md.
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    values_file: Path = option(
        "values_file",
        type=Path,
        metavar="VALUES",
        help="helmfile.d/services/changeprop/values-….yaml of operations-deployment-charts",
    )
    at: str | None = option(
        "--at",
        metavar="PATH",
        help="where the block is, when the file has several, such as production.liftwing",
    )


def run(options: Options) -> int:
    """Prints the models file, and on standard error what could not be carried over. Gives 1 when a model is
    left out."""
    path, block = _block(options.values_file, options.at)
    imported = _Import()
    models = {
        name: told for name, entry in block["models"].items() if (told := imported.model(str(name), entry))
    }
    if imported.refused:
        raise UsageError(
            f"{options.values_file}: {path}.models: ChangeProp would not start with this:\n"
            + "\n".join(imported.refused)
        )
    for note in imported.notes:
        print(note, file=sys.stderr)
    if not models:
        raise UsageError(f"{options.values_file}: {path}.models: none of them can be carried over")
    streams = {"score": "mediawiki.revision-score-{model}", "failure": "mediawiki.revision-score.error"}
    document = {
        "lift_wing": {"url": block.get("uri", "https://inference.discovery.wmnet:30443")},
        "streams": streams,
        "models": models,
    }
    print(_HEAD.format(source=f"{path} in {options.values_file}"))
    print(yaml.safe_dump(document, sort_keys=False, width=160, default_flow_style=None), end="")
    return 1 if imported.left_out else 0


def _block(file: Path, at: str | None) -> tuple[str, Mapping[str, Any]]:
    """The block and its path. Raises UsageError unless there is one, or one at the path that is asked for."""
    problems: list[str] = []
    document = strict_yaml.read(file, problems)
    if problems:
        raise UsageError("\n".join(f"{file}: {problem}" for problem in problems))
    found = dict(_blocks(document, ""))
    if at is not None:
        found = {path: block for path, block in found.items() if path == at or path.startswith(f"{at}.")}
    if len(found) != 1:
        there = f"got {', '.join(found)}; choose one with --at" if found else "got none"
        raise UsageError(
            f"{file}: expected one mapping `liftwing` with `models`"
            + (f" at {at}" if at else "")
            + f", {there}"
        )
    return next(iter(found.items()))


def _blocks(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            here = strict_yaml.joined(path, str(key))
            if key == "liftwing" and isinstance(below, Mapping) and isinstance(below.get("models"), Mapping):
                yield here, below
            else:
                yield from _blocks(below, here)


@cache
def _shipped() -> Mapping[str, Model]:
    return {name: model for file in _SHIPPED for name, model in load(file).models.items()}


@dataclass
class _Import:
    """What is said of the models on the way."""

    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # by ChangeProp itself
    left_out: int = 0

    def model(self, name: str, entry: Any) -> dict[str, Any] | None:
        """The entry of a models file; None when it cannot be carried over."""
        if not isinstance(entry, Mapping):
            self.refused.append(f"{name}: expected a mapping, got {strict_yaml.shown(entry)}")
            return None
        for key in entry.keys() - _KNOWN:
            self.notes.append(f"{name}.{key}: not carried over, as nothing is known of it")
        rule = entry.get("match_config") or {}
        match, match_not = rule.get("match", {}), rule.get("match_not", [])
        try:
            compile_rule(match, [match_not] if isinstance(match_not, Mapping) else match_not)
        except RuleError as error:
            self.refused.extend(f"{name}.match_config.{problem}" for problem in error.problems)
            return None
        known = _shipped().get(name)
        if known is None:
            self.left_out += 1
            self.notes.append(
                f"{name}: left out, as no kind of model says how it is asked and what it answers"
            )
            return None
        source = self._source(name, entry, match)
        told: dict[str, Any] = {
            "namespace": entry.get("namespace", next(iter(known.endpoints.values())).namespace),
            "concurrency": entry.get("concurrency", 5),
        }
        if known.kind != "revscoring":
            told |= {"kind": known.kind, "stream": known.stream}
            service = next(iter(known.endpoints.values())).service
            told |= {"service": service} if service else {}
        if (source, known.kind) == (PAGE_CHANGE, "revscoring"):
            told["source"] = source
        told |= {key: value for key, value in (("match", match), ("match_not", match_not)) if value}
        told["wikis"] = self._wikis(name, entry, known, match) if ANY_WIKI not in known.endpoints else "all"
        if not told["wikis"]:
            self.left_out += 1
            self.notes.append(f"{name}: left out, as its rule lets no wiki through that Lift Wing has it for")
            return None
        return told

    def _source(self, name: str, entry: Mapping[str, Any], match: Mapping[str, Any]) -> str:
        """Which kind of event it listens to: by the topic, or where that is another, by the fields it asks
        for."""
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

    def _wikis(
        self, name: str, entry: Mapping[str, Any], known: Model, match: Mapping[str, Any]
    ) -> list[str]:
        """ChangeProp calls {wiki}-{model} for whatever wiki the rule lets through; Lift Wing has it for
        these."""
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
