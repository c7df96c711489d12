"""Reads a models file into what the steps know of the models; whatever is wrong in it is said at once, line
by line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import schemas
from pipeline.config import strict_yaml
from pipeline.config.model_section import read_model
from pipeline.config.strict_yaml import Section
from pipeline.config.value_kinds import (
    BOTH,
    CA_FILE,
    CONTACT,
    COUNT,
    DATACENTERS,
    LIFT_WING,
    MODEL_EXAMPLE,
    MODELS,
    RATE,
    SECONDS,
    STREAM_NAME,
    STREAMS,
    TEMPLATE,
    TOKEN_FILE,
    URL,
    VERSION,
    VERSIONS,
    WIKIS_FILE,
)
from pipeline.usage_error import UsageError
from transforms.models.model import Configuration, LiftWingSettings, Model
from transforms.models.wikis import Wikis, WikisError, read_wikis, shipped_wikis


class _Streams(NamedTuple):
    """What a models file says of its streams."""

    template: str  # the name of a model's stream, with {model} in it
    failure: str
    datacenters: tuple[str, ...]
    older_schemas: Mapping[str, str]  # the URI that is written in place of a schema's


class ConfigurationError(UsageError):
    """All that is wrong in a models file, one line each: FILE: path.to.key: expected ..., got ...; how to
    repair.

    `rest` is what can be used of the file all the same: the models that have a namespace and a stream; None
    when it does not say where Lift Wing is.
    """

    def __init__(self, problems: str, rest: Configuration | None = None) -> None:
        super().__init__(problems)
        self.rest = rest


def load(path: str | Path) -> Configuration:
    """Returns the configuration in a models file, with the endpoints that are switched off. Raises
    ConfigurationError."""
    problems: list[str] = []
    configuration = None
    if document := strict_yaml.read(Path(path), problems):
        configuration = _configuration(Section("", document, problems), Path(path).parent)
    if problems or configuration is None:
        raise ConfigurationError(
            "\n".join(f"{path}: {problem}" for problem in problems), _rest(configuration)
        )
    return configuration


def _rest(read: Configuration | None) -> Configuration | None:
    if read is None or not read.lift_wing.url or not read.failure_stream:
        return None
    models = {
        name: model
        for name, model in read.models.items()
        if model.stream and all(endpoint.namespace for endpoint in model.endpoints.values())
    }
    return replace(read, models=models)


def _configuration(root: Section, folder: Path) -> Configuration:
    root.only("lift_wing", "streams", "models", "wikis_file")
    lift_wing = root.section("lift_wing", LIFT_WING)
    settings = replace(
        _lift_wing(lift_wing) if lift_wing else LiftWingSettings(""), wikis=_table_of_wikis(root, folder)
    )
    streams = root.section("streams", STREAMS)
    named = _streams(streams) if streams else _Streams("", "", (), {})
    models = root.section("models", MODELS)
    by_name = (
        {
            name: _with_schema(read_model(name, model, named.template, settings.wikis), named.older_schemas)
            for name, model in models.sections(MODEL_EXAMPLE)
        }
        if models
        else {}
    )
    _check_streams(
        {"streams.failure": named.failure}
        | {f"models.{model.name}.stream": model.stream for model in by_name.values()},
        root.problems,
    )
    return Configuration(settings, by_name, named.failure, named.datacenters)


def _table_of_wikis(root: Section, folder: Path) -> Wikis:
    """Returns the table that the models file names, relative to its own folder, or the shipped one."""
    file = root.get("wikis_file", WIKIS_FILE, None)
    try:
        return read_wikis(folder / file) if file else shipped_wikis()
    except WikisError as error:
        root.problems.append(f"wikis_file: {error}")
        return shipped_wikis()


def _lift_wing(section: Section) -> LiftWingSettings:
    section.only(
        "url", "timeout_s", "max_age_s", "in_flight", "calls_per_s", "ca_file", "token_file", "contact"
    )
    default = LiftWingSettings("")
    return LiftWingSettings(
        url=section.need("url", URL, "").rstrip("/"),
        timeout_s=float(section.get("timeout_s", SECONDS, default.timeout_s)),
        max_age_s=float(section.get("max_age_s", SECONDS, default.max_age_s)),
        in_flight=section.get("in_flight", COUNT, default.in_flight),
        calls_per_s=section.get("calls_per_s", RATE, default.calls_per_s),
        ca_file=section.get("ca_file", CA_FILE, None),
        token_file=section.get("token_file", TOKEN_FILE, None),
        contact=section.get("contact", CONTACT, None),
    )


def _streams(section: Section) -> _Streams:
    section.only("score", "failure", "datacenters", "prediction_change")
    template = section.need("score", TEMPLATE, "")
    failure = section.need("failure", STREAM_NAME, "")
    datacenters = section.get("datacenters", DATACENTERS, BOTH)
    version = section.get("prediction_change", VERSION, VERSIONS[0])
    older = {schemas.PREDICTION_CHANGE: schemas.PREDICTION_CHANGE_1_1} if version == VERSIONS[1] else {}
    return _Streams(template, failure, tuple(datacenters), older)


def _with_schema(model: Model, older: Mapping[str, str]) -> Model:
    return replace(model, older_schema=older.get(model.schema))


def _check_streams(streams: Mapping[str, str], problems: list[str]) -> None:
    """Notes which streams would have the same Hive table, whose name has only a-z, 0-9 and _.

    `streams`: by the path in the file that names them.
    """
    owners: dict[str, str] = {}
    for path, stream in streams.items():
        table = re.sub(r"[^A-Za-z0-9_]", "_", stream).lower()
        owner = owners.setdefault(table, path)
        if stream and owner != path:
            taken = (
                f"which is {owner} too"
                if stream == streams[owner]
                else f"which has the Hive table {table} of {owner} {streams[owner]!r} too"
            )
            problems.append(
                f"{path}: expected a stream of its own, got {stream!r}, {taken}; write another name"
            )
