"""The command `import-changeprop`: the `liftwing` block of ChangeProp's values file as a models file.

As charts/changeprop/templates/_config.yaml of wikimedia/operations-deployment-charts reads the block.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.commands.import_changeprop_rules import RuleImport
from pipeline.config import strict_yaml
from pipeline.options import option
from pipeline.usage_error import UsageError

_HEAD = """# Made of {source} by `revision-scores import-changeprop`;
# check it with `revision-scores models --models FILE`. ChangeProp tries a 502 or 503 again after 60 and
# 360 s, and gives up any other error; here see `lift_wing` and docs/guarantees.md.
"""
_STREAMS = {"score": "mediawiki.revision-score-{model}", "failure": "mediawiki.revision-score.error"}


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
    """Prints the models file, and on standard error what could not be carried over. Returns 1 when a model is
    left out."""
    path, block = _block(options.values_file, options.at)
    imported = RuleImport()
    models = {
        name: made
        for name, entry in block["models"].items()
        if (made := imported.carry_over(str(name), entry))
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
    document = {
        "lift_wing": {"url": block.get("uri", "https://inference.discovery.wmnet:30443")},
        "streams": _STREAMS,
        "models": models,
    }
    print(_HEAD.format(source=f"{path} in {options.values_file}"))
    print(yaml.safe_dump(document, sort_keys=False, width=160, default_flow_style=None), end="")
    return 1 if imported.left_out else 0


def _block(file: Path, at: str | None) -> tuple[str, Mapping[str, Any]]:
    """Returns the path of the block, and the block. Raises UsageError unless there is exactly one, or exactly
    one at or below the path `at`."""
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
