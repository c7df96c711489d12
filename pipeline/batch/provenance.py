"""What the rows of a unit follow from: its input, its rule, its wikis and this program."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import orjson

from transforms.datasets.event_files import InputFile
from transforms.datasets.filesystem import is_remote, printable
from transforms.datasets.manifests import MadeOf
from transforms.models.model import ANY_WIKI, Configuration, Model


def program_of(configuration: Configuration) -> Mapping[str, Any]:
    """Returns what tells which scores are wanted beside a model's own rule and wikis: the version of this
    program, and the table of wikis."""
    table = hashlib.sha256(repr(sorted(configuration.wikis)).encode()).hexdigest()
    return {"revision_scores": version("revision-scores"), "table_of_wikis": table}


def made_of(model: Model, inputs: Sequence[Mapping[str, Any]], program: Mapping[str, Any]) -> MadeOf:
    """Returns what the rows of a unit follow from now. `inputs`: see `input_entry`; `program`: see
    `program_of`."""
    rule = {"source": model.source, "match": model.match, "match_not": model.match_not, **program}
    if ANY_WIKI not in model.endpoints:
        del rule["table_of_wikis"]
    as_json = orjson.loads(orjson.dumps(rule, option=orjson.OPT_NON_STR_KEYS))
    return MadeOf(inputs, as_json, {endpoint.wiki: endpoint.on for endpoint in model.active})


def input_entry(file: InputFile) -> Mapping[str, Any]:
    """Returns an input file as manifests have it."""
    return {
        "path": printable(file.path if is_remote(file.path) else os.path.abspath(file.path)),
        "bytes": file.size,
        "version": file.version,
    }
