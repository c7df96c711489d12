"""Reads what a models file says of one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import schemas
from pipeline.config.strict_yaml import Section, joined, nearest, shown
from pipeline.config.value_kinds import (
    ALTERNATIVES,
    FLAG,
    KIND,
    LIMIT,
    MATCH,
    NAMESPACE,
    NUMBER,
    ON,
    SECONDS,
    SERVICE,
    SOURCE,
    STREAM_NAME,
    URL,
    is_name,
)
from transforms.events.source_events import PAGE_CHANGE
from transforms.models.adapters import KINDS
from transforms.models.model import ANY_WIKI, Endpoint, Model
from transforms.models.rules import RuleError, compile_rule
from transforms.models.wikis import Wikis, shipped_wikis

_KEYS = (
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
    "kind",
    "source",
    "service",
)


def read_model(name: str, section: Section, template: str, table: Wikis) -> Model:
    """Returns the model that a section describes, and notes what is wrong in the section's problems.

    `template`: the name of its stream where it names none, with {model} in it; `table`: the wikis that exist.
    """
    section.only(*_KEYS)
    if not is_name(name):
        section.problems.append(
            f"{section.path}: expected a model name of a-z, 0-9, _ and -, got {name!r}; use the name in "
            "Lift Wing's URL"
        )
    common = _common(name, section)
    source = _source(section, common)
    match, match_not = _rule(section)
    endpoints = {wiki: _endpoint(wiki, own, common) for wiki, own in _wikis(section, table)}
    stream = template.replace("{model}", name)
    return Model(
        name,
        section.get("stream", STREAM_NAME, "") if "stream" in section.values else stream,
        endpoints,
        match,
        match_not,
        call_s=float(section.get("call_s", SECONDS, Model.call_s)),
        mediawiki_calls=section.get("mediawiki_calls", NUMBER, Model.mediawiki_calls),
        kind=common.kind,
        source=source,
    )


def _common(name: str, section: Section) -> Endpoint:
    """Returns what the endpoints of a model have in common, as one of no wiki."""
    return Endpoint(
        wiki="",
        model=name,
        namespace=section.need("namespace", NAMESPACE, ""),
        on=section.get("on", ON, "edit"),
        concurrency=section.get("concurrency", LIMIT, 5),  # what ChangeProp allows a rule
        enabled=section.get("enabled", FLAG, True),
        url=section.get("url", URL, "").rstrip("/") or None,
        kind=section.get("kind", KIND, "revscoring"),
        service=section.get("service", SERVICE, None),
    )


def _source(section: Section, endpoint: Endpoint) -> str:
    """Returns the kind of event that asks for a model, which the model's kind has to know."""
    kind = KINDS[endpoint.kind]
    source = section.get("source", SOURCE, kind.sources[0])
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
    """Returns a wiki's endpoint: as its section says, else as its model does. If the model is off or stopped,
    each endpoint is."""
    section.only("on", "concurrency", "enabled")
    return replace(
        common,
        wiki=wiki,
        on=section.get("on", ON, common.on),
        concurrency=section.get("concurrency", LIMIT, common.concurrency) if common.concurrency else 0,
        enabled=section.get("enabled", FLAG, True) and common.enabled,
    )


def _wikis(model: Section, table: Wikis) -> Iterator[tuple[str, Section]]:
    """Yields the wikis of a model with the sections of their endpoints, which are empty for a plain list."""
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
    """Notes a wiki that does not exist, as its name becomes part of a URL."""
    if not isinstance(wiki, str) or wiki not in table:
        where = "the table of wikis" if table is shipped_wikis() else "wikis_file"
        problems.append(
            f"{path}: expected a database name of {where}, got {shown(wiki)}; "
            f"{nearest(str(wiki), table.names)}"
        )


def _rule(model: Section) -> tuple[Mapping[str, Any], tuple[Mapping[str, Any], ...]]:
    match = model.get("match", MATCH, {})
    match_not = model.get("match_not", ALTERNATIVES, [])
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
