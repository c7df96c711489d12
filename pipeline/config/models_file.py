"""Reads a models file into what the steps know of the models; whatever is wrong in it is said at once, line
by line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import schemas
from pipeline.config import strict_yaml
from pipeline.config.strict_yaml import Kind, Section, joined, nearest, shown
from pipeline.usage_error import UsageError
from transforms.events.source_events import PAGE_CHANGE, REVISION_CREATE
from transforms.events.source_events import STREAMS as SOURCES
from transforms.lift_wing.credentials import read_token
from transforms.models.adapters import KINDS
from transforms.models.model import ANY_WIKI, Configuration, Endpoint, LiftWingSettings, Model
from transforms.models.rules import EVENT_KINDS, RuleError, compile_rule
from transforms.models.wikis import Wikis, WikisError, read_wikis, shipped_wikis

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")  # safe in a host and in a URL as it is
_STREAM = re.compile(r"[A-Za-z0-9._-]+")  # what Kafka allows in the name of a topic


class ConfigurationError(UsageError):
    """All that is wrong in a models file, one line each: FILE: path.to.key: expected ..., got ...; how to
    repair.

    `rest` is what can be told of the file all the same: the models that have a place and a stream; None when
    it does not say where Lift Wing is.
    """

    def __init__(self, problems: str, rest: Configuration | None = None) -> None:
        super().__init__(problems)
        self.rest = rest


def load(path: str | Path) -> Configuration:
    """The configuration that a models file says, every switched-off endpoint included."""
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


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_contact(value: Any) -> bool:
    """Whether a User-Agent can hold it as its contact."""
    return (
        isinstance(value, str)
        and re.fullmatch(r"[\x21-\x27\x2a-\x7e]([\x20-\x27\x2a-\x7e]*[\x21-\x27\x2a-\x7e])?", value)
        is not None
    )


def _holds_token(path: str) -> bool:
    try:
        return bool(read_token(path))
    except (OSError, ValueError):
        return False


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_url(value: Any) -> bool:
    if not isinstance(value, str) or re.search(r"[\s?#@\\]", value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(_is_name(item) for item in value)
        and len(set(value)) == len(value)
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_stream(value: Any) -> bool:
    return isinstance(value, str) and _STREAM.fullmatch(value) is not None


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and "{model}" in value and _is_stream(value.replace("{model}", "x"))


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


_FLAG: Kind[bool] = Kind("true or false", "false", lambda value: isinstance(value, bool))
_COUNT: Kind[int] = Kind("a whole number of at least 1", "5", lambda value: _is_whole(value, 1))
_LIMIT: Kind[int] = Kind("a whole number, 0 to let the requests wait", "5", lambda value: _is_whole(value, 0))
_NUMBER: Kind[int] = Kind("a whole number", "1", lambda value: _is_whole(value, 0))
_SECONDS: Kind[float] = Kind("a number of seconds above 0", "30", _is_duration)
_RATE: Kind[float | None] = Kind("a number of calls above 0", "100", _is_duration)
_URL: Kind[str] = Kind(
    "an http or https address without user, query or fragment",
    "https://inference.discovery.wmnet:30443",
    _is_url,
)
_CA_FILE: Kind[str | None] = Kind(
    "a PEM file that exists",
    "/etc/ssl/certs/ca-certificates.crt",
    lambda value: _is_text(value) and Path(value).is_file(),
)
_TOKEN_FILE: Kind[str | None] = Kind(
    "a file with a token", "/etc/revision-scores/token", lambda value: _is_text(value) and _holds_token(value)
)
_CONTACT: Kind[str | None] = Kind(
    "an address or page of whoever runs this, in ASCII without brackets",
    '"https://meta.wikimedia.org/wiki/User:Example"',
    lambda value: is_contact(value),
)
_TEMPLATE: Kind[str] = Kind(
    "a stream name of letters, digits and ._- with {model} in it",
    '"mediawiki.revision-score-{model}"',
    _is_template,
)
_STREAM_NAME: Kind[str] = Kind(
    "a stream name of letters, digits and ._-", "mediawiki.revision-score.error", _is_stream
)
_BOTH: Sequence[str] = ("eqiad", "codfw")
_VERSIONS = [
    schema.rpartition("/")[2] for schema in (schemas.PREDICTION_CHANGE, schemas.PREDICTION_CHANGE_1_1)
]
_VERSION: Kind[str] = Kind(
    f"a version of page/prediction_classification_change, {' or '.join(_VERSIONS)}",
    _VERSIONS[0],
    lambda value: value in _VERSIONS,
)
_DATACENTERS: Kind[Sequence[str]] = Kind("a list of different datacenter names", "[eqiad, codfw]", _is_names)
_NAMESPACE: Kind[str] = Kind(
    "a Kubernetes namespace of a-z, 0-9, _ and -", "revscoring-editquality-damaging", _is_name
)
_ON: Kind[str] = Kind(
    f"one of {', '.join(EVENT_KINDS)}", "edit", lambda value: isinstance(value, str) and value in EVENT_KINDS
)
_MATCH: Kind[Mapping[str, Any]] = Kind("a mapping", "{page_namespace: 0}", _is_mapping)
_ALTERNATIVES: Kind[Any] = Kind(
    "a mapping or a list of mappings",
    "[{performer: {user_groups: [bot]}}]",
    lambda value: _is_mapping(value) or (isinstance(value, list) and all(map(_is_mapping, value))),
)
_LIFT_WING: Kind[Mapping[str, Any]] = Kind(
    "a mapping", "{url: https://inference.discovery.wmnet:30443}", _is_mapping
)
_STREAMS: Kind[Mapping[str, Any]] = Kind(
    "a mapping",
    '{score: "mediawiki.revision-score-{model}", failure: mediawiki.revision-score.error}',
    _is_mapping,
)
_KIND: Kind[str] = Kind(
    f"one of {', '.join(KINDS)}", "revscoring", lambda value: isinstance(value, str) and value in KINDS
)
_SOURCE: Kind[str] = Kind(
    f"one of {', '.join(SOURCES)}", REVISION_CREATE, lambda value: isinstance(value, str) and value in SOURCES
)
_SERVICE: Kind[str | None] = Kind("the name of a service of a-z, 0-9, _ and -", "articlequality", _is_name)
_WIKIS_FILE: Kind[str | None] = Kind("the name of a file", "wikis.tsv", _is_text)
_MODEL_EXAMPLE = "{namespace: revscoring-editquality-damaging, wikis: [enwiki]}"
_MODELS: Kind[Mapping[str, Any]] = Kind(
    "a mapping of at least one model",
    f"{{damaging: {_MODEL_EXAMPLE}}}",
    lambda value: _is_mapping(value) and bool(value),
)


def _configuration(root: Section, folder: Path) -> Configuration:
    root.only("lift_wing", "streams", "models", "wikis_file")
    lift_wing = root.section("lift_wing", _LIFT_WING)
    settings = replace(
        _lift_wing(lift_wing) if lift_wing else LiftWingSettings(""), wikis=_table_of_wikis(root, folder)
    )
    streams = root.section("streams", _STREAMS)
    template, failure, datacenters, older = _streams(streams) if streams else ("", "", (), {})
    models = root.section("models", _MODELS)
    by_name = (
        {
            name: _with_schema(_model(name, model, template, settings.wikis), older)
            for name, model in models.sections(_MODEL_EXAMPLE)
        }
        if models
        else {}
    )
    _check_streams(
        {"streams.failure": failure}
        | {f"models.{model.name}.stream": model.stream for model in by_name.values()},
        root.problems,
    )
    return Configuration(settings, by_name, failure, datacenters)


def _table_of_wikis(root: Section, folder: Path) -> Wikis:
    """The table that the models file names, from its own folder on, or the shipped one."""
    file = root.get("wikis_file", _WIKIS_FILE, None)
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
        url=section.need("url", _URL, "").rstrip("/"),
        timeout_s=float(section.get("timeout_s", _SECONDS, default.timeout_s)),
        max_age_s=float(section.get("max_age_s", _SECONDS, default.max_age_s)),
        in_flight=section.get("in_flight", _COUNT, default.in_flight),
        calls_per_s=section.get("calls_per_s", _RATE, default.calls_per_s),
        ca_file=section.get("ca_file", _CA_FILE, None),
        token_file=section.get("token_file", _TOKEN_FILE, None),
        contact=section.get("contact", _CONTACT, None),
    )


def _streams(section: Section) -> tuple[str, str, tuple[str, ...], Mapping[str, str]]:
    """The template of the score streams, the failure stream, the datacenters, and what is to be written in
    place of a schema."""
    section.only("score", "failure", "datacenters", "prediction_change")
    template = section.need("score", _TEMPLATE, "")
    failure = section.need("failure", _STREAM_NAME, "")
    datacenters = section.get("datacenters", _DATACENTERS, _BOTH)
    version = section.get("prediction_change", _VERSION, _VERSIONS[0])
    return (
        template,
        failure,
        tuple(datacenters),
        {schemas.PREDICTION_CHANGE: schemas.PREDICTION_CHANGE_1_1} if version == _VERSIONS[1] else {},
    )


def _with_schema(model: Model, older: Mapping[str, str]) -> Model:
    return replace(model, older_schema=older.get(model.schema))


_OF_KINDS = ("kind", "source", "service")


def _model(name: str, section: Section, template: str, table: Wikis) -> Model:
    section.only(
        "namespace",
        "on",
        "concurrency",
        "enabled",
        "url",
        "stream",
        "match",
        "match_not",
        "call_s",
        "mediawiki_calls",
        "wikis",
        *_OF_KINDS,
    )
    if not _is_name(name):
        section.problems.append(
            f"{section.path}: expected a model name of a-z, 0-9, _ and -, got {name!r}; use the name in "
            "Lift Wing's URL"
        )
    common = Endpoint(
        wiki="",
        model=name,
        namespace=section.need("namespace", _NAMESPACE, ""),
        on=section.get("on", _ON, "edit"),
        concurrency=section.get("concurrency", _LIMIT, 5),  # what ChangeProp allows a rule
        enabled=section.get("enabled", _FLAG, True),
        url=section.get("url", _URL, "").rstrip("/") or None,
        kind=section.get("kind", _KIND, "revscoring"),
        service=section.get("service", _SERVICE, None),
    )
    source = _source(section, common)
    match, match_not = _rule(section)
    endpoints = {wiki: _endpoint(wiki, own, common) for wiki, own in _wikis(section, table)}
    return Model(
        name,
        section.get("stream", _STREAM_NAME, "")
        if "stream" in section.values
        else template.replace("{model}", name),
        endpoints,
        match,
        match_not,
        call_s=float(section.get("call_s", _SECONDS, Model.call_s)),
        mediawiki_calls=section.get("mediawiki_calls", _NUMBER, Model.mediawiki_calls),
        kind=common.kind,
        source=source,
    )


def _source(section: Section, endpoint: Endpoint) -> str:
    """The kind of event that asks for a model, which its kind has to know."""
    kind = KINDS[endpoint.kind]
    source = section.get("source", _SOURCE, kind.sources[0])
    if source not in kind.sources:
        section.wrong(
            "source",
            f"{' or '.join(kind.sources)} for a model of the kind {endpoint.kind}",
            f"write source: {kind.sources[0]}",
        )
    if source == PAGE_CHANGE and endpoint.on != "edit":
        section.wrong(
            "on", "edit with page changes, whose kinds match tells", "write match: {page_change_kind: edit}"
        )
    if kind.schema == schemas.PREDICTION_CHANGE and "stream" not in section.values:
        path = joined(section.path, "stream")
        section.problems.append(
            f"{path}: expected the model's own stream, got nothing; add stream: "
            "mediawiki.page_revert_risk_prediction_change.v1"
        )
    return source


def _endpoint(wiki: str, section: Section, common: Endpoint) -> Endpoint:
    """What a wiki says of its endpoint, and what its model says where it says nothing; of a model that is off
    or stopped each endpoint is."""
    section.only("on", "concurrency", "enabled")
    return replace(
        common,
        wiki=wiki,
        on=section.get("on", _ON, common.on),
        concurrency=section.get("concurrency", _LIMIT, common.concurrency) if common.concurrency else 0,
        enabled=section.get("enabled", _FLAG, True) and common.enabled,
    )


def _wikis(model: Section, table: Wikis) -> Iterator[tuple[str, Section]]:
    """The wikis of a model with what they say of their endpoints; in a plain list they say nothing."""
    given = model.values.get("wikis")
    path = f"{model.path}.wikis"
    if given == "all":
        yield ANY_WIKI, Section(path, {}, model.problems)
        return
    if isinstance(given, list) and given:
        for index, wiki in enumerate(given):
            if wiki in given[:index]:
                model.problems.append(
                    f"{path}[{index}]: expected each wiki once, got {shown(wiki)} again; remove it"
                )
            _check_wiki(wiki, f"{path}[{index}]", model.problems, table)
        yield from ((str(wiki), Section(path, {}, model.problems)) for wiki in given)
    elif isinstance(given, Mapping) and given:
        for wiki in given:
            _check_wiki(wiki, f"{path}.{wiki}", model.problems, table)
        yield from Section(path, given, model.problems).sections("{}")
    else:
        example = given if isinstance(given, str) and given in table else "enwiki"
        verb = "write" if "wikis" in model.values else "add"
        model.problems.append(
            f"{path}: expected a mapping or a list of database names, got {shown(given)}; {verb} wikis: "
            f"[{example}]"
        )


def _check_wiki(wiki: Any, path: str, problems: list[str], table: Wikis) -> None:
    """Only a wiki that exists is let into a URL."""
    if not isinstance(wiki, str) or wiki not in table:
        where = "the table of wikis" if table is shipped_wikis() else "wikis_file"
        problems.append(
            f"{path}: expected a database name of {where}, got {shown(wiki)}; "
            f"{nearest(str(wiki), table.names)}"
        )


def _rule(model: Section) -> tuple[Mapping[str, Any], tuple[Mapping[str, Any], ...]]:
    match = model.get("match", _MATCH, {})
    match_not = model.get("match_not", _ALTERNATIVES, [])
    alternatives = (match_not,) if isinstance(match_not, Mapping) else tuple(match_not)
    if model.values.get("match") == {}:  # ChangeProp matches no event with it, and every event without
        model.problems.append(
            f"{model.path}.match: expected at least one field, got an empty mapping; leave match out"
        )
    try:
        compile_rule(match, alternatives)
    except RuleError as error:
        model.problems.extend(f"{model.path}.{problem}" for problem in error.problems)
    return match, alternatives


def _check_streams(streams: Mapping[str, str], problems: list[str]) -> None:
    """Streams, by the path that names them, of one Hive table would mix: its name has only a-z, 0-9 and _."""
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
