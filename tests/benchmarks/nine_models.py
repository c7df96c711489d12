"""The models file of the stream benchmarks: the shipped one with every endpoint switched on, so that all nine
models are called."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.inputs import MODELS, with_on

# the busiest has 18 % of the calls: enough for 1,000 a second of 0.9 s in the mean
CALLS_OF_AN_ENDPOINT = 200
CALLS_IN_ALL = 15_000  # sockets; most systems let a process have 20,000 or more


def write_nine_models(
    file: Path, lift_wing: str, without: Collection[str] = (), addresses: Mapping[str, str] | None = None
) -> Path:
    """Writes the file: `without` some models, and with some models at an address of their own, which
    `--lift-wing` would take from them."""
    told = with_on(yaml.safe_load(MODELS.read_text(encoding="utf-8")))
    told["lift_wing"] |= {"url": lift_wing, "in_flight": CALLS_IN_ALL}
    told["models"] = {name: _all_on(model) for name, model in told["models"].items() if name not in without}
    for name, address in (addresses or {}).items():
        told["models"][name]["url"] = address
    file.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    return file


def _all_on(model: dict[str, Any]) -> dict[str, Any]:
    wikis = model["wikis"] if isinstance(model["wikis"], dict) else {wiki: {} for wiki in model["wikis"]}
    own = {wiki: {"on": told["on"]} if "on" in told else {} for wiki, told in wikis.items()}
    return {
        **{key: value for key, value in model.items() if key != "enabled"},
        "concurrency": CALLS_OF_AN_ENDPOINT,
        "wikis": own,
    }
