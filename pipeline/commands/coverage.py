"""The command `coverage`: what ORES precached beside what the models file scores, so that it can be seen what
the switch changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from pipeline.config import strict_yaml
from pipeline.config.models_file import ConfigurationError
from pipeline.config.overrides import load_with
from pipeline.config.shared_options import SomeWikisOptions
from pipeline.console.columns import print_columns
from pipeline.options import flag
from transforms.events.source_events import REVISION_CREATE
from transforms.models.model import Configuration, Model

_PRECACHED = Path(__file__).parents[1] / "ores_precache.yaml"
_HEADER = ("wiki", "model", "ORES scored", "here", "")


class Pair(NamedTuple):
    """A model of a wiki, the events for which ORES had it ready and for which it is scored now; None: for
    none."""

    wiki: str
    model: str
    ores: str | None
    here: str | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Options(SomeWikisOptions):
    json: bool = flag("--json", help="a line for each wiki and model")


def run(options: Options) -> int:
    """Prints a line for each pair of wiki and model that ORES precached or the models file scores. Returns
    1 when one of ORES' is not scored as it was."""
    configuration = load_with(options.models, options.overrides)
    found = sorted(pairs(configuration))
    if options.json:
        for pair in found:
            print(orjson.dumps(pair._asdict()).decode())
    else:
        print_columns(
            _HEADER,
            [(pair.wiki, pair.model, pair.ores or "", pair.here or "", pair.verdict) for pair in found],
        )
        verdicts = Counter(pair.verdict for pair in found)
        print(
            f"\n{sum(pair.ores is not None for pair in found)} pairs of ORES; "
            + ", ".join(f"{verdict}: {count}" for verdict, count in sorted(verdicts.items()))
        )
    return int(any(pair.ores != pair.here and pair.ores for pair in found))


def pairs(configuration: Configuration) -> Iterator[Pair]:
    """Yields each pair of wiki and model of either side. Models of page changes are no successors of
    ORES'."""
    problems: list[str] = []
    precached = {
        (wiki, model): ", ".join(kinds)
        for wiki, models in strict_yaml.read(_PRECACHED, problems).items()
        for model, kinds in models.items()
    }
    if problems:
        raise ConfigurationError("\n".join(f"{_PRECACHED}: {problem}" for problem in problems))
    models = {name: model for name, model in configuration.models.items() if model.source == REVISION_CREATE}
    scored = {
        (wiki, name)
        for name, model in models.items()
        for wiki, endpoint in model.endpoints.items()
        if endpoint.enabled
    }
    for wiki, name in precached.keys() | scored:
        yield _pair(wiki, name, precached.get((wiki, name)), models.get(name))


def _pair(wiki: str, name: str, ores: str | None, model: Model | None) -> Pair:
    endpoint = model.endpoint(wiki) if model else None
    here = endpoint.on if endpoint and endpoint.enabled else None
    if endpoint is None:
        verdict = "not on Lift Wing"
    elif here is None:
        verdict = "switched off"
    elif ores is None:
        verdict = "new"
    elif model and (model.match or model.match_not):
        verdict = "served, by a rule of its own"
    else:
        verdict = "served" if here == ores else "another kind of event"
    return Pair(wiki, name, ores, here, verdict)
